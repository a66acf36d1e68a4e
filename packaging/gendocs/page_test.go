package main

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/otpctl/command"
)

// Whatever the help says is in the page, and no Go syntax.
func TestPageHasEveryCommandAndFlag(t *testing.T) {
	text := page(command.Tree(), date)
	if text != page(command.Tree(), date) {
		t.Error("two runs give two pages")
	}
	for _, want := range []string{
		".Ss otpctl enroll USER", ".Ss otpctl session expire USER", ".It Fl -qr Ar where", ".It Fl y , Fl -yes",
		"(default: totp).", ".It Pa /etc/otpgate/users/USER.toml",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	commands := command.Tree().Commands()
	for _, c := range commands {
		commands = append(commands, c.Commands()...)
	}
	for _, c := range commands {
		if c.Hidden {
			continue // the command's own
		}
		if !strings.Contains(text, ".Ss "+c.CommandPath()) {
			t.Errorf("no word on %s", c.CommandPath())
		}
		if c.Example == "" || c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: example %q, short %q", c.CommandPath(), c.Example, c.Short)
		}
	}
	if strings.Contains(text, "(default: [])") || strings.Contains(text, "=false") || strings.Contains(text, `=""`) {
		t.Error("a flag is shown with its Go default")
	}
}
