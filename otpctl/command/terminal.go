package command

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

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// mayColour says whether a terminal shows colours, and whoever sits at it wants
// them (no-color.org).
func mayColour() bool { return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" }

// canAsk says whether somebody is there to answer a prompt.
func (a *app) canAsk() bool { return isTerminal(a.Stdin) && isTerminal(a.Stderr) }

var errInterrupted = errors.New("interrupted")

// ask prompts for a line. Ctrl-C and Ctrl-D are errors.
func (a *app) ask(ctx context.Context, prompt string) (string, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	fmt.Fprint(a.Stderr, printable(prompt))
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := a.lines.next()
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

// next returns a line without its end and otherwise as it is: what is checked
// is what was typed.
func (l *lineReader) next() (string, error) {
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
