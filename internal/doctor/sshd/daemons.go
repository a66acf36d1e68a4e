package sshd

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// daemon is an sshd with the arguments that it is started with.
type daemon struct {
	pamstack.Position
	// by is what starts it, "" for one that has no arguments of its own.
	by string
	// name is argv[0], by which older ones name their PAM service.
	name  string
	query target.Query
	// options are those of -o, and files the words of -f.
	options []unit.Word
	// unclear is a part of its command line that files do not tell.
	unclear string
}

// program is how an sshd's file is called.
const program = "sshd"

// stock are the units of the distributions' own sshd, by what its package calls it.
var stock = []string{"ssh.service", "sshd.service"}

// daemons are those that the machine starts, and those that run otherwise. The
// first one is the distribution's.
func daemons(m *target.Machine) []daemon {
	var found []daemon
	whole := false
	for _, service := range unit.Services(m.Root, program) {
		ours := slices.Contains(stock, service.Name)
		if ours && !service.Whole && len(service.Commands) == 0 {
			service.Add(variables(m))
			service.Commands = []unit.Command{{Words: service.Expanded(stockCommand)}}
		}
		for _, command := range service.Commands {
			if words, name := sshdIn(m.Root, command); len(words) > 0 {
				d := daemonOf(words[1:])
				d.Position, d.by, d.name = command.Position, service.Name, name
				d.query.Program = absolute(words[0].Text)
				found = append(found, d)
				whole = whole || ours
			}
		}
	}
	if !whole {
		found = append(found, byScript(m))
	}
	found = append(found, byScripts(m)...)
	for _, process := range m.Running(program) {
		if d, listens := runningDaemon(process); listens {
			found = append(found, d)
		}
	}
	slices.SortStableFunc(found, func(a, b daemon) int { return rank(a) - rank(b) })
	return distinct(found)
}

// rank puts the distribution's own before others, and what runs behind what is
// to be started.
func rank(d daemon) int {
	switch {
	case d.by == "" || slices.Contains(stock, d.by) || slices.Contains(optionFiles, d.by):
		return 0
	case strings.HasPrefix(d.by, "process "):
		return 2
	}
	return 1
}

// distinct leaves out those that are started like one before them.
func distinct(all []daemon) (found []daemon) {
	for _, d := range all {
		if !slices.ContainsFunc(found, d.same) {
			found = append(found, d)
		}
	}
	return found
}

func (d daemon) same(other daemon) bool {
	return d.config() == other.config() && slices.Equal(d.query.Arguments, other.query.Arguments) &&
		d.serviceName() == other.serviceName() && d.unclear == other.unclear && d.foreign() == other.foreign()
}

// foreign is a program that is not the distribution's, and has a configuration of
// its own if no argument names one; "" if it is.
func (d daemon) foreign() string {
	dir, base := filepath.Split(d.query.Program)
	if base != program || dir == "/usr/sbin/" || dir == "/usr/bin/" || dir == "/sbin/" || dir == "/usr/lib/ssh/" {
		return ""
	}
	return d.query.Program
}

// serviceName is the PAM service of an OpenSSH before 9.8.
func (d daemon) serviceName() string {
	if d.name == "" {
		return defaultService
	}
	return strings.ToLower(filepath.Base(d.name))
}

// stockCommand stands for a unit of a distribution's that is not there to be read.
var stockCommand = []unit.Word{{Text: "/usr/sbin/sshd"}, {Text: "$SSHD_OPTS"}, {Text: "$OPTIONS"}}

// optionFiles have the options of the distribution's sshd.
var optionFiles = []string{"/etc/default/ssh", "/etc/sysconfig/sshd", "/etc/sysconfig/ssh", "/etc/conf.d/sshd"}

// variables are those of the files with the options of the distribution's sshd.
func variables(m *target.Machine) (found []unit.Variable) {
	for _, path := range optionFiles {
		found = append(found, unit.Variables(m.Root, path)...)
	}
	return found
}

// byScript is one that no unit starts, but a script (sysvinit, OpenRC).
func byScript(m *target.Machine) daemon {
	var service unit.Service
	service.Add(variables(m))
	words := service.Expanded(append(stockCommand[1:], unit.Word{Text: "$command_args"}))
	for _, name := range []string{"$SSHD_CONFIG", "$cfgfile"} {
		if file := service.Expanded([]unit.Word{{Text: name}}); len(file) == 1 {
			words = append(words, unit.Word{Position: file[0].Position, Text: "-f"}, file[0])
		}
	}
	d := daemonOf(words)
	for _, word := range words {
		d.Position, d.by = word.Position, word.File
	}
	return d
}

// sshdIn is the part of a command that starts an sshd, and what that is called.
func sshdIn(root string, command unit.Command) (words []unit.Word, name string) {
	for i, word := range command.Words {
		switch {
		case !strings.HasPrefix(word.Text, "/") && i > 0:
		case filepath.Base(word.Text) == program && i == 0 && command.Name != "":
			return command.Words, command.Name
		case filepath.Base(word.Text) == program || leadsToSSHD(root, word.Text), i == 0 && calledLike(command.Words):
			return command.Words[i:], word.Text
		}
		if i > 0 && command.Words[i-1].Text == "-c" && strings.HasSuffix(command.Words[0].Text, "sh") {
			var inner unit.Command
			for _, text := range unit.Split(word.Text) {
				inner.Words = append(inner.Words, unit.Word{Position: word.Position, Text: text})
			}
			return sshdIn(root, inner)
		}
	}
	return nil, ""
}

// titled is what an sshd writes over its command line, behind the name that it is
// called by; a listener has its command line in it.
var titled = regexp.MustCompile(`^[^/ ]+: (.*)$`)

// runningDaemon is a process that waits for connections, and says with what it was
// started: in words, or in a title that it has put over them.
func runningDaemon(p target.Process) (d daemon, listens bool) {
	words := p.Words
	if title := titled.FindStringSubmatch(p.Words[0]); title != nil {
		before, _, listening := strings.Cut(title[1], " [listener]")
		words = strings.Fields(before)
		if !listening || len(words) == 0 {
			return daemon{}, false // a session, or one in which somebody logs in
		}
	}
	var given []unit.Word
	for _, text := range words[1:] {
		given = append(given, unit.Word{Text: text})
	}
	d = daemonOf(given)
	d.by, d.name, d.query.Program = p.String(), words[0], p.Program
	return d, true
}

// absolute is a program's path, if it is one.
func absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return ""
}

// said is what tells a daemon from the distribution's without arguments, to
// somebody who is told of a place already.
func (d daemon) said(values map[string]string, told string) string {
	parts := []string{d.by}
	if at := d.Position.String(); d.by == d.File {
		parts[0] = at
	} else if d.File != "" && at != told {
		parts[0] = fmt.Sprintf("%s (%s)", d.by, at)
	}
	if foreign := d.foreign(); foreign != "" {
		parts = append(parts, foreign)
	}
	if d.query.Config != "" {
		parts = append(parts, "-f "+d.query.Config)
	}
	for _, option := range d.options {
		parts = append(parts, "-o "+option.Text)
	}
	if port := values["port"]; port != "" && port != "22" {
		parts = append(parts, "port "+port)
	}
	return strings.Join(parts, ", ")
}
