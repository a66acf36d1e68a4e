package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/excuse"
)

// manual collects the lines of a page in the language of mdoc(7).
type manual struct{ strings.Builder }

// page is the whole manual page of root and its subcommands.
func page(root *cobra.Command, date time.Time) string {
	var m manual
	m.line(".Dd %s", date.Format("January 2, 2006"))
	m.line(".Dt %s 1", strings.ToUpper(root.Name()))
	m.line(".Os")
	m.line(".Sh NAME\n.Nm %s\n.Nd %s", root.Name(), lowerFirst(root.Short))
	m.line(".Sh SYNOPSIS\n.Nm\n.Op Fl -config Ar file\n.Op Fl -quiet\n.Ar command\n.Op Ar argument ...")
	m.line(".Sh DESCRIPTION")
	m.text(root.Long)
	m.line(".Pp\nThese flags may be given to every command:")
	m.flags(root.PersistentFlags())
	m.line(".Sh COMMANDS")
	m.below(root)
	m.line(".Sh FILES\n.Bl -tag -width Ds")
	paths := config.Default().Paths
	for _, file := range []struct{ path, what string }{
		{config.DefaultPath, "The configuration. Without it the defaults hold."},
		{excuse.Path, "Findings of doctor that are meant to be so."},
		{paths.Users + "/USER.toml", "Secret files, one per person."},
		{paths.BreakGlass + "/USER.toml", "Hashes of break-glass codes, on a client."},
		{paths.State, "What logins have used up. It is never to be restored from a backup."},
	} {
		m.line(".It Pa %s", file.path)
		m.text(file.what)
	}
	m.line(".El\n.Sh EXIT STATUS")
	m.text("0 if everything was done, 1 if something failed, 2 if the command line was wrong. The command doctor also has 3 if it found warnings, 4 if it found errors.")
	m.line(".Sh EXAMPLES")
	m.examples(root.Example)
	m.line(".Sh SEE ALSO\n.Xr otpgate-doctor 5 ,\n.Xr otpgate-user 5 ,\n.Xr otpgate.toml 5 ,\n.Xr otpgate-gateway 8 ,\n.Xr otpgate-ledgerd 8 ,\n.Xr otpgate-portal 8 ,\n.Xr otpgate-sftpd 8 ,\n.Xr otpgate-verifierd 8 ,\n.Xr pam_otpgate 8\n.Pp")
	m.text("/usr/share/doc/otpgate says what each finding of doctor means, and everything else at length.")
	return m.String()
}

// below writes the commands of c, and those below them.
func (m *manual) below(c *cobra.Command) {
	for _, one := range c.Commands() {
		if one.IsAvailableCommand() {
			m.command(one)
			m.below(one)
		}
	}
}

func (m *manual) command(c *cobra.Command) {
	m.line(".Ss %s %s\\&", c.Parent().CommandPath(), escape(c.Use))
	m.text(c.Short + ".")
	if c.Long != "" {
		m.line(".Pp")
		m.text(c.Long)
	}
	if c.LocalNonPersistentFlags().HasAvailableFlags() {
		m.flags(c.LocalNonPersistentFlags())
	}
	if c.Example != "" {
		m.line(".Pp\nFor example:")
		m.examples(c.Example)
	}
}

func (m *manual) line(format string, values ...any) { fmt.Fprintf(m, format+"\n", values...) }

// width is how long mandoc's lint likes lines to be at most.
const width = 80

// text writes paragraphs, each sentence beginning on a line of its own, as mdoc
// wants.
func (m *manual) text(text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			m.line(".Pp")
		}
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && (strings.HasSuffix(line, ".") || len(escape(line+" "+word)) > width) {
				m.line("%s", escape(line))
				line = ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		m.line("%s", escape(line))
	}
}

func (m *manual) flags(flags *pflag.FlagSet) {
	m.line(".Bl -tag -width Ds")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, what := pflag.UnquoteUsage(f)
		item := ".It Fl -" + escape(f.Name)
		if f.Shorthand != "" {
			item = ".It Fl " + f.Shorthand + " , Fl -" + escape(f.Name)
		}
		if value != "" {
			item += " Ar " + value
		}
		m.line("%s", item)
		m.text(upperFirst(what) + defaultOf(f) + ".")
	})
	m.line(".El")
}

// defaultOf says a default that the text does not.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "0", "false", "[]":
		return ""
	}
	return " (default: " + f.DefValue + ")"
}

func (m *manual) examples(text string) {
	m.line(".Bd -literal -offset indent")
	for line := range strings.Lines(text) {
		m.line("%s", strings.ReplaceAll(escape(strings.TrimSpace(line)), "-", `\-`))
	}
	m.line(".Ed")
}

// escape keeps text from being taken for a request or an escape sequence.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, boldOn, `\fB`, boldOff, `\fP`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }
func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
