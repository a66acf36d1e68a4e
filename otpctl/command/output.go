package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// checkedWriter remembers the first failure, so that a full disk behind
// standard output is not taken for success.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (c *checkedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if c.err == nil {
		c.err = err
	}
	return n, err
}

// notShown is the error for an answer that did not come out.
type notShown struct {
	err   error
	again string
}

func (n notShown) Error() string { return "write to standard output: " + n.err.Error() }

// say writes a line of the answer.
func (a *app) say(format string, values ...any) {
	a.clear()
	fmt.Fprintln(a.out, printable(fmt.Sprintf(format, values...)))
}

// note writes a remark beside the answer.
func (a *app) note(format string, values ...any) {
	a.clear()
	fmt.Fprintln(a.Stderr, "otpctl: "+printable(fmt.Sprintf(format, values...)))
}

func (a *app) complain(err error) {
	a.clear()
	fmt.Fprintln(a.Stderr, "otpctl: "+printable(err.Error()))
	if hint := a.hint(err); hint != "" {
		fmt.Fprintln(a.Stderr, "hint: "+printable(hint))
	}
}

func (a *app) json(value any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// printable escapes what could steer a terminal: file contents and names come
// from elsewhere.
func printable(text string) string {
	var safe strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			safe.WriteRune(r)
			continue
		}
		fmt.Fprintf(&safe, `\x%02x`, r)
	}
	return safe.String()
}

// counted says how many there are of something.
func counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// when shows an instant to people, in the machine's time zone.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
