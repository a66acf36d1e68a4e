package console

import (
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// gettyNames are programs that wait for somebody at a terminal.
var gettyNames = strings.Fields("agetty getty mingetty mgetty fgetty ngetty fbgetty qingy kmscon tinygetty")

// gettys are those that systemd starts: by units of a getty's name, and by any that
// has one started with somebody's name.
func (e *exam) gettys() {
	at := map[string]bool{} // units that have a terminal
	for _, service := range unit.Services(e.Machine.Root, "StandardInput=tty") {
		at[service.Name] = true
	}
	for _, service := range unit.Services(e.Machine.Root, "getty", "/login", "kmscon", "StandardInput=tty") {
		if service.Name == debugShell || slices.Contains(rescues, service.Name) || !e.starts(service) {
			continue
		}
		for _, command := range service.Commands {
			fix := "systemctl edit --full " + service.Name + ", or remove the drop-in; then systemctl daemon-reload"
			e.terminal(command.Position, service.Name, texts(command.Words), at[service.Name] || strings.Contains(service.Name, "getty"), fix)
		}
	}
}

// starts says whether a service is of a terminal that something starts: gettys are
// started by a generator, and by logind when somebody goes there.
func (e *exam) starts(service unit.Service) bool {
	return strings.Contains(service.Name, "getty") || strings.HasPrefix(service.Name, "autovt@") || unit.Enabled(e.Machine.Root, service.Name)
}

// terminal looks at a command that may serve a terminal; has says that it does.
func (e *exam) terminal(place pamstack.Position, by string, words []string, has bool, fix string) {
	at := slices.IndexFunc(words, func(word string) bool {
		return !strings.Contains(word, "=") && path.Base(word) != "setsid" && path.Base(word) != "env"
	})
	if at < 0 {
		return
	}
	words = words[at:]
	name := path.Base(words[0])
	user, login := readGetty(words[1:])
	switch {
	case name == "login":
		if user := forced(words[1:]); user != "" {
			e.loggedIn(place, "login", by+", by login -f,", user, "Take -f out there: "+fix+".")
		}
	case !slices.Contains(gettyNames, name):
		if has && isShell(name) && !slices.ContainsFunc(words[1:], func(word string) bool { return word[:min(1, len(word))] != "-" || word == "-c" }) {
			e.rootShell(place, by+" starts "+words[0]+", and no login.", atConsole, "Have it start a getty: "+fix+".")
		}
	case user != "":
		e.loggedIn(place, "login", by+", by --autologin,", user, "Take --autologin out: "+fix+".")
	case isShell(login):
		e.rootShell(place, by+" starts "+login+" in place of login.", atConsole, "Take --login-program out: "+fix+".")
	}
}

// gettyValues are agetty's short options that take a value.
const gettyValues = "afHIlortdP"

// readGetty reads the options of agetty, mingetty and their like: whom they log in,
// and the program that they start in place of login.
func readGetty(words []string) (user, login string) {
	value := func(i int, word, long string) (string, bool) {
		if got, ok := strings.CutPrefix(word, long+"="); ok {
			return got, true
		}
		if word == long && i+1 < len(words) {
			return words[i+1], true
		}
		return "", false
	}
	options := ""
	for i, word := range words {
		if got, ok := value(i, word, "--autologin"); ok {
			user = got
		}
		if got, ok := value(i, word, "--login-program"); ok {
			login = got
		}
		if got, ok := value(i, word, "--loginprog"); ok { // mingetty's
			login = got
		}
		if got, ok := value(i, word, "--login-options"); ok {
			options = got
		}
		letters, short := strings.CutPrefix(word, "-")
		if !short || strings.HasPrefix(letters, "-") {
			continue
		}
		for at, letter := range letters {
			if !strings.ContainsRune(gettyValues, letter) {
				continue
			}
			got := letters[at+1:]
			if got == "" && i+1 < len(words) {
				got = words[i+1]
			}
			switch letter {
			case 'a':
				user = got
			case 'l':
				login = got
			case 'o':
				options = got
			}
			break
		}
	}
	if user == "" {
		user = forced(strings.Fields(options))
	}
	return user, login
}

// forced is whom login(1) lets in without asking: by -f.
func forced(words []string) string {
	at := slices.IndexFunc(words, func(word string) bool {
		return strings.HasPrefix(word, "-") && strings.Contains(word, "f") && !strings.HasPrefix(word, "--")
	})
	if at < 0 {
		return ""
	}
	if _, name, _ := strings.Cut(words[at], "f"); name != "" {
		return name
	}
	for _, word := range words[at+1:] {
		if !strings.HasPrefix(word, "-") {
			if strings.Trim(word, `\%`) == "u" {
				return "" // whoever typed a name is asked by then
			}
			return word
		}
	}
	return ""
}

func texts(words []unit.Word) (all []string) {
	for _, word := range words {
		all = append(all, word.Text)
	}
	return all
}

// inittab is read by sysvinit and by busybox: id:levels:action:command, with the
// terminal for an id.
func (e *exam) inittab() {
	const file = "/etc/inittab"
	for place, line := range target.Lines(e.Machine.Root, file, 0) {
		fields := strings.SplitN(line, ":", 4)
		if strings.HasPrefix(line, "#") || len(fields) < 4 {
			continue
		}
		words := unit.Split(strings.TrimLeft(fields[3], "-@+"))
		starts := slices.Contains([]string{"respawn", "askfirst", "once", "wait", "boot", "bootwait", "ondemand"}, fields[2])
		switch {
		case !starts || len(words) == 0:
		default:
			e.terminal(place, "init", words, fields[2] == "respawn" || fields[2] == "askfirst", "edit "+file+", and: kill -HUP 1")
		}
	}
}

// terminals are those of OpenRC and runit, whose options stand in files of
// variables.
func (e *exam) terminals() {
	for _, files := range []struct{ pattern, variable string }{
		{"/etc/conf.d/agetty*", "agetty_options"}, {"/etc/sv/*getty*/conf", "GETTY_ARGS"}, {"/etc/runit/sv/*getty*/conf", "GETTY_ARGS"},
	} {
		for _, file := range e.Machine.Glob(files.pattern) {
			for _, v := range unit.Variables(e.Machine.Root, file) {
				if v.Name == files.variable {
					e.terminal(v.Position, file, append([]string{"agetty"}, unit.Split(v.Value)...), true, "edit "+file)
				}
			}
		}
	}
	for _, pattern := range []string{"/etc/sv/*/run", "/etc/runit/sv/*/run", "/etc/s6/sv/*/run"} {
		for _, file := range e.Machine.Glob(pattern) {
			for place, line := range target.Lines(e.Machine.Root, file, 0) {
				words := unit.Split(line)
				if at := slices.IndexFunc(words, func(word string) bool { return slices.Contains(gettyNames, path.Base(word)) }); at >= 0 && !strings.HasPrefix(line, "#") {
					e.terminal(place, file, words[at:], true, "edit "+file)
				}
			}
		}
	}
}
