package authstack

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// scenario is a login that a drawing follows.
type scenario struct {
	title   string
	outcome Outcome
}

var scenarios = []scenario{
	{"right code", Outcome{Password: true, Code: RightCode}},
	{"wrong code", Outcome{Password: true, Code: WrongCode}},
	{"not asked", Outcome{Password: true, Code: NotAsked}},
	{"wrong password", Outcome{}},
}

// Draw shows the stack as logins walk through it: a line for each line, in
// order, and a column for each kind of login, in which every module returns
// what it usually does. A line that a login does not reach has a dot there.
func Draw(w io.Writer, s Stack, colour bool) error {
	protocol := "no protocol that the policy knows"
	if s.Protocol != "" {
		protocol = "protocol " + string(s.Protocol)
	}
	var plain strings.Builder
	fmt.Fprintf(&plain, "%s: authentication, %s\n\n", s.Service, protocol)
	table := tabwriter.NewWriter(&plain, 0, 0, 2, ' ', 0)
	head := "LINE\tCONTROL\tMODULE"
	walks := make([]pamstack.Result, len(scenarios))
	for n, login := range scenarios {
		head += "\t" + strings.ToUpper(login.title)
		walks[n] = s.paths(login.outcome)[0].Result
	}
	fmt.Fprintln(table, head+"\t")
	for i, line := range s.Lines {
		row := line.Position.String() + "\t" + strings.Repeat("│ ", line.Level) + bracketed(line.Control) + "\t" + s.moduleCell(i)
		for _, walk := range walks {
			row += "\t" + s.cell(walk, i)
		}
		fmt.Fprintln(table, row+"\t")
	}
	row := "→\t\t"
	for _, walk := range walks {
		row += "\t" + verdict(walk)
	}
	fmt.Fprintln(table, row+"\t")
	if err := table.Flush(); err != nil {
		return err
	}
	text := regexp.MustCompile(` +\n`).ReplaceAllString(plain.String(), "\n")
	if colour {
		text = coloured(text)
	}
	_, err := io.WriteString(w, text)
	return err
}

// coloured is applied last: a table counts what does not show.
func coloured(text string) string {
	const green, red, bold, reset = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[0m"
	var out strings.Builder
	for line := range strings.Lines(text) {
		switch {
		case strings.Contains(line, "»"):
			line = bold + strings.TrimSuffix(line, "\n") + reset + "\n"
		case strings.HasPrefix(line, "→"):
			line = strings.NewReplacer("denied", red+"denied"+reset, " in ", green+" in "+reset).Replace(line)
		}
		out.WriteString(line)
	}
	return out.String()
}

// moduleCell marks our own lines.
func (s Stack) moduleCell(i int) string {
	line := s.Lines[i]
	name := line.Name()
	if line.Module == "" {
		name = "-"
	}
	switch {
	case line.Kind == pamstack.Broken:
		return name + " (broken)"
	case Ours(line) && line.Has("split"):
		return "» " + name + " split"
	case Ours(line):
		return "» " + name
	}
	return name
}

// cell says what became of a line in a walk.
func (s Stack) cell(walk pamstack.Result, i int) string {
	if s.Lines[i].Kind == pamstack.Substack {
		return ""
	}
	for _, step := range walk.Steps {
		if step.Line == i {
			return step.Return.String() + ": " + consequence(step.Action)
		}
	}
	return "·"
}

func consequence(action pamstack.Action) string {
	switch action {
	case pamstack.IgnoreIt:
		return "goes on"
	case pamstack.OK:
		return "good"
	case pamstack.Done:
		return "done"
	case pamstack.Bad:
		return "bad"
	case pamstack.Die:
		return "ends"
	case pamstack.Reset:
		return "forgotten"
	}
	return fmt.Sprintf("over %d", action)
}

func verdict(walk pamstack.Result) string {
	if walk.Return == pamstack.Success {
		return "in"
	}
	return "denied"
}
