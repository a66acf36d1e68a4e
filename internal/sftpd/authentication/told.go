package authentication

import (
	"strings"

	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// tell keeps a line for the next answer.
func (l *Login) tell(text string) {
	if text = printable(text); text != "" && len(l.told) < 50 {
		l.told = append(l.told, text)
	}
}

// printable drops what could do something to a terminal. Enrollment shows
// more than one line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

// takeTold is what is to be told, what the engine says last.
func (l *Login) takeTold() []string {
	if code, waits := l.state.(*beforeCode); waits {
		l.said = append(l.said, code.dialogue.take()...)
	}
	for _, text := range l.said {
		l.tell(text)
	}
	told := l.told
	l.told, l.said = nil, nil
	size := 0
	for i, text := range told {
		if size += len(text) + 4; size > messages.MaxSize-1024 {
			return told[:i]
		}
	}
	return told
}
