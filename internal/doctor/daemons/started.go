package daemons

import (
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// started is a daemon that the machine starts.
type started struct {
	pamstack.Position
	// By is what starts it, and Words its command line, from the program on.
	By    string
	Words []string
}

func (s started) program() string { return path.Base(s.Words[0]) }

// off is how it is no longer started.
func (s started) off() string {
	switch {
	case strings.HasSuffix(s.By, ".service"):
		return "systemctl disable --now " + s.By
	case strings.HasPrefix(s.By, "process "):
		return "End it, and take out what starts it."
	}
	return "Take it out of " + s.By + ", and have that read its file again."
}

// option is the value of an option, "" if it is not there.
func (s started) option(names ...string) string {
	for i, word := range s.Words {
		for _, name := range names {
			if value, ok := strings.CutPrefix(word, name+"="); ok {
				return value
			}
			if word == name && i+1 < len(s.Words) {
				return s.Words[i+1]
			}
		}
	}
	return ""
}

func (s started) has(names ...string) bool {
	return slices.ContainsFunc(s.Words, func(word string) bool { return slices.Contains(names, word) })
}

// scripts are files of those who start programs without systemd.
var scripts = []string{
	"/etc/inetd.conf", "/etc/xinetd.d/*", "/etc/supervisord.conf", "/etc/supervisor/conf.d/*.conf", "/etc/supervisord.d/*.ini",
	"/etc/sv/*/run", "/etc/service/*/run", "/etc/s6/sv/*/run", "/etc/rc.local", "/etc/rc.d/rc.local", "/etc/local.d/*.start", "/etc/inittab",
	"/etc/crontab", "/etc/cron.d/*",
}

// started are the daemons by these names of programs.
func (e *exam) started(programs ...string) (found []started) {
	matches := func(word string) bool { return slices.Contains(programs, path.Base(word)) }
	for _, service := range unit.Services(e.Machine.Root, programs...) {
		if !unit.Enabled(e.Machine.Root, service.Name) {
			continue
		}
		for _, command := range service.Commands {
			if words := from(inner(texts(command.Words)), matches); words != nil {
				found = append(found, started{command.Position, service.Name, words})
			}
		}
	}
	for _, pattern := range scripts {
		for _, file := range e.Machine.Glob(pattern) {
			found = append(found, e.inScript(file, matches)...)
		}
	}
	for _, program := range programs {
		found = append(found, e.byInit(program)...)
		for _, process := range e.Machine.Running(program) {
			if len(found) == 0 { // or it is told by what starts it
				found = append(found, started{By: process.String(), Words: append([]string{process.Program}, process.Words[min(1, len(process.Words)):]...)})
			}
		}
	}
	return found
}

// from is the part of a command line from a program on.
func from(words []string, matches func(string) bool) []string {
	at := slices.IndexFunc(words, matches)
	if at < 0 || at > 0 && slices.Contains([]string{"-C", "-name", "--exec-stop"}, words[at-1]) {
		return nil
	}
	return words[at:]
}

// inner takes apart what a shell is given.
func inner(words []string) []string {
	for i, word := range words {
		if word == "-c" && i+1 < len(words) && isShell(words[0]) {
			return unit.Split(words[i+1])
		}
	}
	return words
}

// inScript finds them in a file of a superserver, a supervisor or a shell.
func (e *exam) inScript(file string, matches func(string) bool) (found []started) {
	off := false
	for place, line := range target.Lines(e.Machine.Root, file, 0) {
		key, value, _ := strings.Cut(line, "=")
		if strings.TrimSpace(key) == "disable" && strings.TrimSpace(value) == "yes" && strings.HasPrefix(file, "/etc/xinetd.d/") {
			off = true
		}
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		words := unit.Split(line)
		for i, word := range words {
			if _, command, assigned := strings.Cut(word, "=/"); assigned {
				words[i] = "/" + command
			}
		}
		isProgram := func(word string) bool { return strings.HasPrefix(word, "/") && matches(word) }
		if words = from(words, isProgram); words != nil {
			found = append(found, started{place, file, words})
		}
	}
	if off {
		return nil
	}
	return found
}

// byInit finds one that sysvinit or OpenRC starts.
func (e *exam) byInit(program string) (found []started) {
	name := strings.TrimPrefix(program, "in.")
	for _, pattern := range []string{"/etc/rc[2345].d/S[0-9][0-9]" + name, "/etc/rc.d/rc[2345].d/S[0-9][0-9]" + name, "/etc/runlevels/default/" + name, "/etc/runlevels/boot/" + name} {
		for _, link := range e.Machine.Glob(pattern) {
			if unit.Exists(e.Machine.Root, name+".service") {
				continue // systemd goes by the unit
			}
			words := []string{program}
			for _, v := range append(unit.Variables(e.Machine.Root, "/etc/default/"+name), unit.Variables(e.Machine.Root, "/etc/conf.d/"+name)...) {
				if v.Name == "NO_START" && v.Value == "1" {
					words = nil
					break
				}
				if strings.HasSuffix(v.Name, "ARGS") || strings.HasSuffix(v.Name, "OPTS") || strings.HasSuffix(v.Name, "OPTIONS") {
					words = append(words, unit.Split(v.Value)...)
				}
			}
			if words != nil {
				return []started{{pamstack.Position{File: link}, link, words}}
			}
		}
	}
	return nil
}

func texts(words []unit.Word) (all []string) {
	for _, word := range words {
		all = append(all, word.Text)
	}
	return all
}
