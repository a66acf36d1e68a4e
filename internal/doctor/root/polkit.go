package root

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// polkitDirs are where the rules of polkit are: programs, and before 0.106 files of
// keys in directories of their own. Those of packages are among them.
var (
	polkitDirs = []string{"/etc/polkit-1/rules.d", "/run/polkit-1/rules.d", "/usr/local/share/polkit-1/rules.d", "/usr/share/polkit-1/rules.d"}
	pklaDirs   = []string{"/etc/polkit-1/localauthority", "/var/lib/polkit-1/localauthority"}
)

// polkit looks for rules by which pkexec or run0 ask for nothing. What a rule's
// program makes of somebody is not known here.
func (e *exam) polkit() {
	if len(e.guarded("sudo", "sudo-i", "su", "su-l", "polkit-1")) == 0 {
		return
	}
	for _, dir := range polkitDirs {
		for _, file := range e.polkitFiles(dir, ".rules") {
			e.rules(file)
		}
	}
	e.actions()
	for _, above := range pklaDirs {
		for _, dir := range e.polkitFiles(above, ".d") {
			for _, file := range e.polkitFiles(dir, ".pkla") {
				e.pkla(file)
			}
		}
	}
}

// polkitFiles are those of a directory that end so. That it cannot be listed is a
// finding: those of rules are polkitd's, with mode 0700.
func (e *exam) polkitFiles(dir, ending string) (files []string) {
	entries, err := os.ReadDir(e.Machine.Root + dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.unreadRules(dir, err)
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ending) {
			files = append(files, path.Join(dir, entry.Name()))
		}
	}
	return files
}

func (e *exam) unreadRules(path string, err error) {
	f := finding.NotLookedAt(finding.Warning, "whether a rule of polkit has pkexec and run0 ask for nothing", err.Error())
	f.File, f.Services, f.Fix = path, []string{"polkit-1"}, "Run otpctl doctor as root, and see that it is a file that root can read."
	e.add(f)
}

// saysYes is about a rule's line.
func (e *exam) saysYes(place pamstack.Position, line string, narrowed bool) {
	f := finding.Finding{Severity: finding.Warning, ID: "polkit-not-asking", Services: []string{"polkit-1"},
		What:    "A rule of polkit says yes, without asking, about actions that make root: " + strings.TrimSpace(line),
		Follows: "For whomever it means pkexec or run0 make root without a password and without a code.",
		Fix:     "Return polkit.Result.AUTH_SELF or AUTH_ADMIN there, or name other actions."}
	if narrowed {
		f.Severity = finding.Note
		f.Follows = "The rule looks which program or unit is meant. How much of root's power that gives is not looked at."
	}
	e.add(finding.At(place, f))
}

// rules reads a program.
func (e *exam) rules(file string) {
	text, err := target.Read(e.Machine.Root, file)
	if err != nil {
		e.unreadRules(file, err)
		return
	}
	code := withoutComments(string(text))
	if anyAction.MatchString(code) && !namesRoot(code) {
		return // of other actions
	}
	narrow := narrowed.MatchString(code)
	if narrow && !strings.HasPrefix(file, "/etc/") {
		return // a package's, about a unit of its own
	}
	number := 0
	for line := range strings.Lines(code) {
		number++
		if yes.MatchString(line) {
			e.saysYes(pamstack.Position{File: file, Line: number}, line, narrow)
			return
		}
	}
}

// pkla reads a file of keys, in sections.
func (e *exam) pkla(file string) {
	if _, err := target.Read(e.Machine.Root, file); err != nil {
		e.unreadRules(file, err)
		return
	}
	isRoots := true // without a line of actions
	for place, line := range target.Lines(e.Machine.Root, file, 0) {
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case strings.HasPrefix(line, "["):
			isRoots = true
		case key == "Action":
			isRoots = actsAsRoot(value)
		case strings.HasPrefix(key, "Result") && strings.EqualFold(value, "yes") && isRoots:
			e.saysYes(place, line, false)
			return
		}
	}
}
