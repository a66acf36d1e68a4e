package console

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// debugShell is systemd's unit of a shell of root's on the ninth terminal.
const debugShell = "debug-shell.service"

// rescues are the units of the shell that a boot ends in when it fails, or that
// somebody asks the boot loader for. Both ask for root's password.
var rescues = []string{"emergency.service", "rescue.service"}

// sulogin has it ask for nothing where root has no password.
const sulogin = "SYSTEMD_SULOGIN_FORCE"

// shells are those of root's that systemd starts.
func (e *exam) shells() {
	if unit.Enabled(e.Machine.Root, debugShell) {
		f := pamstack.Position{}
		for _, service := range unit.Services(e.Machine.Root, "debug-shell", "sh") {
			if service.Name == debugShell && len(service.Commands) > 0 {
				f = service.Commands[0].Position
			}
		}
		e.rootShell(f, debugShell+" is enabled: systemd starts a shell of root's on the ninth terminal.", atConsole,
			"systemctl disable --now "+debugShell)
	}
	for _, service := range unit.Services(e.Machine.Root, sulogin, "sh") {
		if !slices.Contains(rescues, service.Name) {
			continue
		}
		if v, set := service.Variable(sulogin); set && isYes(v.Value) {
			e.forced(v.Position, service.Name)
		}
		for _, command := range service.Commands {
			words := texts(command.Words)
			if len(words) > 0 && (isShell(words[0]) && !slices.Contains(words, "-c") || path.Base(words[0]) == "sulogin" && hasForce(words[1:])) {
				e.rescue(command.Position, service.Name+" starts "+strings.Join(words, " ")+", which asks for no password.")
			}
		}
	}
	e.environment()
}

func hasForce(words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return word == "-e" || word == "--force" })
}

// environment is what systemd gives all of its units.
func (e *exam) environment() {
	for _, pattern := range []string{"/etc/systemd/system.conf", "/etc/systemd/system.conf.d/*.conf", "/run/systemd/system.conf.d/*.conf", "/usr/lib/systemd/system.conf.d/*.conf"} {
		for _, file := range e.Machine.Glob(pattern) {
			for place, line := range target.Lines(e.Machine.Root, file, 0) {
				key, value, _ := strings.Cut(line, "=")
				if key = strings.TrimSpace(key); key != "DefaultEnvironment" && key != "ManagerEnvironment" {
					continue
				}
				for _, word := range unit.Split(value) {
					if set, ok := strings.CutPrefix(word, sulogin+"="); ok && isYes(set) {
						e.forced(place, key)
					}
				}
			}
		}
	}
}

func (e *exam) forced(place pamstack.Position, by string) {
	e.rescue(place, by+" sets "+sulogin+", so that the shell of emergencies asks for no password where root has none.")
}

// rescue is about a shell that takes a boot that fails, or that somebody chooses at
// the boot loader.
func (e *exam) rescue(place pamstack.Position, what string) {
	e.rootShell(place, what, "Who is at the console has the machine start into rescue or emergency mode, and is root with neither password nor code.",
		"Take it out, and give root a password for emergencies.")
}

func isYes(value string) bool {
	return slices.Contains([]string{"1", "y", "yes", "t", "true", "on"}, strings.ToLower(value))
}

// commandLines are where the kernel's command line is, and where it comes from at
// the next start.
var commandLines = []string{
	"/proc/cmdline", "/etc/kernel/cmdline", "/usr/lib/kernel/cmdline", "/etc/cmdline", "/etc/cmdline.d/*.conf", "/etc/default/grub", "/etc/default/grub.d/*.cfg",
	"/boot/loader/entries/*.conf", "/efi/loader/entries/*.conf", "/boot/efi/loader/entries/*.conf", "/boot/grub/grub.cfg", "/boot/grub2/grub.cfg",
	"/boot/cmdline.txt", "/boot/firmware/cmdline.txt", "/boot/extlinux/extlinux.conf", "/boot/extlinux.conf", "/boot/syslinux/syslinux.cfg", "/etc/lilo.conf",
}

// opens is what of it starts a shell of root's.
var opens = regexp.MustCompile(`^(?:systemd\.debug[-_]shell(?:=(.*))?|init=(.*)|systemd\.setenv=` + sulogin + `=(.*)|systemd\.unit=(?:emergency|rescue)\.target)$`)

// kernel looks at the kernel's command line, in force or for the next start. An
// entry of the boot loader for emergencies asks for root's password, and so is in
// order.
func (e *exam) kernel() {
	told := map[string]bool{}
	for _, pattern := range commandLines {
		for _, file := range e.Machine.Glob(pattern) {
			for place, line := range target.Lines(e.Machine.Root, file, 0) {
				if strings.HasPrefix(line, "#") {
					continue
				}
				for word := range strings.FieldsSeq(strings.NewReplacer(`"`, " ", "'", " ").Replace(line)) {
					if startsShell(word) && !told[word] {
						told[word] = true
						e.rootShell(place, "The kernel's command line has "+word+", which starts a shell of root's.", atConsole,
							"Take it out where the boot loader's entries come from, write them anew (update-grub, grub2-mkconfig, bootctl), and start the machine again.")
					}
				}
			}
		}
	}
}

func startsShell(word string) bool {
	found := opens.FindStringSubmatch(word)
	switch {
	case found == nil || strings.HasPrefix(word, "systemd.unit="):
		return false
	case strings.HasPrefix(word, "init="):
		return isShell(found[2])
	case strings.HasPrefix(word, "systemd.setenv="):
		return isYes(found[3])
	}
	_, value, set := strings.Cut(word, "=")
	return !set || isYes(value) || strings.HasPrefix(value, "tty")
}
