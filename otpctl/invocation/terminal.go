package invocation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// What a terminal is used for: prompts and remarks go to standard error, the
// answer to standard output. A prompt needs a terminal at standard input and
// standard error; a QR code and colour need one at standard output. Codes are
// echoed: one that is typed here is used up by it.

// IsTerminal says whether a stream is a terminal.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// MayColour says whether a terminal shows colours, and whoever sits at it wants
// them (no-color.org).
func MayColour() bool { return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" }

// CanAsk says whether somebody is there to answer a prompt.
func (a *App) CanAsk() bool { return IsTerminal(a.Stdin) && IsTerminal(a.Stderr) }

var errInterrupted = errors.New("interrupted")

// Ask prompts for a line. Ctrl-C and Ctrl-D are errors.
func (a *App) Ask(ctx context.Context, prompt string) (string, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	fmt.Fprint(a.Stderr, Printable(prompt))
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := a.Lines.Next()
		answers <- answer{line, err}
	}()
	select {
	case got := <-answers:
		if errors.Is(got.err, io.EOF) {
			fmt.Fprintln(a.Stderr)
		}
		return got.line, got.err
	case <-ctx.Done():
		fmt.Fprintln(a.Stderr)
		return "", errInterrupted
	}
}

// lineReader reads the lines of standard input.
type lineReader struct{ from *bufio.Reader }

// maxLine is far longer than anything that is asked for.
const maxLine = 1024

func newLineReader(from io.Reader) *lineReader {
	if from == nil {
		from = strings.NewReader("")
	}
	return &lineReader{bufio.NewReaderSize(from, maxLine)}
}

// Next returns a line without its end and otherwise as it is: what is checked
// is what was typed.
func (l *lineReader) Next() (string, error) {
	line, err := l.from.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("read standard input: a line of over %d bytes", maxLine)
	case errors.Is(err, io.EOF) && len(line) == 0:
		return "", io.EOF
	case err != nil && !errors.Is(err, io.EOF):
		return "", fmt.Errorf("read standard input: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
}

// Answer reads a line from standard input, with a prompt on a terminal.
func (a *App) Answer(ctx context.Context, prompt string) (string, error) {
	if a.CanAsk() {
		return a.Ask(ctx, prompt)
	}
	return a.Lines.Next()
}

// Sure asks whether something is to be done. otherwise is the error if it is
// not.
func (a *App) Sure(ctx context.Context, yes bool, question, otherwise string) error {
	if yes {
		return nil
	}
	if !a.CanAsk() {
		return Usage("there is no terminal to ask on; --yes does it without asking")
	}
	answer, err := a.Ask(ctx, question+" [y/N] ")
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer != "y" && answer != "Y" && answer != "yes" {
		return errors.New(otherwise)
	}
	return nil
}
