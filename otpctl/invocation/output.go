package invocation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// checkedWriter remembers the first failure, so that a full disk behind
// standard output is not taken for success.
type checkedWriter struct {
	w   io.Writer
	Err error
	// Written says that there is an answer, or a part of one.
	Written bool
}

func (c *checkedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.Written = c.Written || n > 0
	if c.Err == nil {
		c.Err = err
	}
	return n, err
}

// NotShown is the error for an answer that did not come out.
type NotShown struct {
	Err   error
	Again string
}

func (n NotShown) Error() string { return "write to standard output: " + n.Err.Error() }

// Say writes a line of the answer.
func (a *App) Say(format string, values ...any) {
	a.Clear()
	fmt.Fprintln(a.Out, Printable(fmt.Sprintf(format, values...)))
}

// Note writes a remark beside the answer.
func (a *App) Note(format string, values ...any) {
	a.Clear()
	fmt.Fprintln(a.Stderr, "otpctl: "+Printable(fmt.Sprintf(format, values...)))
}

// Sum writes a remark that wants no attention, to whoever sits there: a program has
// the answer and the exit status.
func (a *App) Sum(format string, values ...any) {
	if a.Verbose || IsTerminal(a.Stderr) {
		a.Note(format, values...)
	}
}

// Complain writes an error, and what to do about it.
func (a *App) Complain(err error) {
	a.Clear()
	fmt.Fprintln(a.Stderr, "otpctl: "+Printable(err.Error()))
	if hint := a.Hint(err); hint != "" {
		fmt.Fprintln(a.Stderr, "hint: "+Printable(hint))
	}
}

// JSON writes the answer of --json.
func (a *App) JSON(value any) error {
	encoder := json.NewEncoder(a.Out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// Printable escapes what could steer a terminal: file contents and names come
// from elsewhere.
func Printable(text string) string {
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

// Counted says how many there are of something.
func Counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// When shows an instant to people, in the machine's time zone.
func When(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// OrDash is text in a table, where nothing is shown as a dash.
func OrDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// NewSecretFile makes a file for something secret, which must not be there yet.
// Its directory must be as safe as that of a secret file, so that no link leads
// it elsewhere. flag names it in errors.
func NewSecretFile(flag, path string) (*os.File, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dir, err := safefile.OpenDir(filepath.Dir(absolute))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	defer dir.Close()
	fd, err := unix.Openat(dir.Fd(), filepath.Base(absolute),
		unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("%s: %s is there already; it is not overwritten", flag, absolute)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, &os.PathError{Op: "create", Path: absolute, Err: err})
	}
	return os.NewFile(uintptr(fd), absolute), nil
}

// FinishSecretFile closes what NewSecretFile made: it returns once the file and its name
// are on disk. If that fails, or writing did with err, the file is removed.
func FinishSecretFile(file *os.File, err error) error {
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	dir, err := os.Open(filepath.Dir(file.Name()))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
