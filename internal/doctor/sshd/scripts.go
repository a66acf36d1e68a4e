package sshd

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
)

// scripts are files of those who start programs without systemd: superservers,
// supervisors, the shell, and cron, by which some have one for emergencies.
var scripts = []string{
	"/etc/inetd.conf", "/etc/xinetd.d/*", "/etc/supervisord.conf", "/etc/supervisor/conf.d/*.conf", "/etc/supervisord.d/*.ini",
	"/etc/sv/*/run", "/etc/service/*/run", "/etc/s6/sv/*/run", "/etc/rc.local", "/etc/rc.d/rc.local", "/etc/local.d/*.start", "/etc/inittab",
	// Of the crontabs of people root's alone: what others start is theirs, and the
	// program that they name must not be asked as root.
	"/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/root", "/var/spool/cron/crontabs/root", "/var/spool/cron/tabs/root", "/etc/crontabs/root",
}

// asksOnly are options by which an sshd looks at its configuration and ends.
var asksOnly = []string{"-t", "-T", "-G", "-V"}

// byScripts are sshds that such files start with arguments. What a shell makes of a
// line beyond its words is not known here.
func byScripts(m *target.Machine) (found []daemon) {
	for _, pattern := range scripts {
		for _, path := range m.Glob(pattern) {
			lines := map[string]unit.Word{}
			for place, text := range target.Lines(m.Root, path, 0) {
				if strings.HasPrefix(text, "#") {
					continue
				}
				words := words(unit.Word{Position: place, Text: text})
				if key, value, ok := strings.Cut(text, "="); ok && strings.HasPrefix(path, "/etc/xinetd.d/") {
					lines[strings.TrimSpace(key)] = unit.Word{Position: place, Text: value}
					words = append(servedBy(lines["server"]), servedBy(lines["server_args"])...)
				}
				if given := startedIn(words); len(given) > 1 && !slices.ContainsFunc(given, looks) {
					d := daemonOf(given[1:])
					d.Position, d.by, d.query.Program = given[1].Position, path, given[0].Text
					found = append(found, d)
				}
			}
		}
	}
	return found
}

func looks(word unit.Word) bool { return slices.Contains(asksOnly, word.Text) }

func servedBy(line unit.Word) []unit.Word {
	if line.Text == "" {
		return nil
	}
	return words(line)
}

// words are those of a line.
func words(line unit.Word) (found []unit.Word) {
	for _, text := range unit.Split(line.Text) {
		if _, command, ok := strings.Cut(text, "=/"); ok {
			text = "/" + command // a key's value
		}
		found = append(found, unit.Word{Position: line.Position, Text: text})
	}
	return found
}

// startedIn is the part of a line that starts an sshd, up to where a shell begins
// with something else.
func startedIn(words []unit.Word) (given []unit.Word) {
	for _, word := range words {
		switch {
		case given == nil && filepath.IsAbs(word.Text) && filepath.Base(word.Text) == program:
			given = append(given, word)
		case given == nil:
		case strings.ContainsAny(word.Text[:min(1, len(word.Text))], ";&|><)"):
			return given
		default:
			text, ends := strings.CutSuffix(word.Text, ";")
			given = append(given, unit.Word{Position: word.Position, Text: text})
			if ends {
				return given
			}
		}
	}
	return given
}
