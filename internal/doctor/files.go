package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/safefile"
)

// configuration reads the default configuration and those that lines in pam.d
// name.
func (e *exam) configuration() {
	e.settings = e.under(config.Default())
	path := e.configPath()
	settings, err := config.Load(path)
	if e.Config == "" && errors.Is(err, fs.ErrNotExist) {
		err = nil // the defaults hold, which Load cannot say of another root
		settings = config.Default()
	}
	if err != nil {
		e.add(e.badConfig(path, err))
	} else {
		e.settings = e.under(settings)
	}
}

// otherConfigs reads those that lines in pam.d name instead.
func (e *exam) otherConfigs() {
	looked := map[string]bool{e.configPath(): true}
	for _, s := range e.stacks {
		for _, i := range s.own() {
			line := s.Lines[i]
			path := e.Machine.Root + line.Arg("config")
			if line.Arg("config") == "" {
				continue
			}
			settings, err := config.Load(path)
			if err != nil && !looked[path] {
				f := e.badConfig(path, err)
				f.Services = []string{s.Service}
				f.Follows = line.Place.String() + " names it, so every login through that line is denied."
				e.add(f)
			}
			looked[path] = true
			if name := line.Arg("protocol"); err == nil && name != "" {
				if expected := wrongValue("protocol", name, settings.Policy.OwnProtocols); expected != "" {
					f := s.wrong(i, "protocol="+name, expected)
					f.Services = []string{s.Service}
					e.add(f)
				}
			}
		}
	}
}

func (e *exam) configPath() string {
	if e.Config == "" {
		return e.Machine.Root + config.DefaultPath
	}
	return e.Config
}

// under puts the root before the paths of a tree that is no machine.
func (e *exam) under(settings config.Config) config.Config {
	for _, path := range []*string{&settings.Paths.Users, &settings.Paths.State, &settings.Paths.Socket} {
		*path = e.Machine.Root + *path
	}
	return settings
}

func (e *exam) badConfig(path string, err error) Finding {
	f := Finding{Severity: Error, ID: "config", File: path, What: unplaced(path, err) + ".",
		Follows: "Every login through the module is denied.", Fix: "Correct it; otpctl test USER --service sshd reads the same file."}
	f.Line = lineIn(path, err)
	return f
}

// unplaced is an error's text without the place that a finding says itself.
func unplaced(path string, err error) string {
	text := strings.TrimPrefix(err.Error(), "secret file: ")
	return regexp.MustCompile("^"+regexp.QuoteMeta(path)+`(:\d+)?: `).ReplaceAllString(text, "")
}

// lineIn finds the line that an error names behind a file's path.
func lineIn(path string, err error) int {
	match := regexp.MustCompile(regexp.QuoteMeta(path) + `:(\d+)`).FindStringSubmatch(err.Error())
	if match == nil {
		return 0
	}
	line, _ := strconv.Atoi(match[1])
	return line
}

// lineOf is the first line that sets a key.
func lineOf(data []byte, key string) int {
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		name, _, _ := strings.Cut(strings.TrimSpace(line), "=")
		name = strings.Trim(strings.TrimSpace(name), `[]"`)
		if name == key || strings.HasSuffix(name, "."+key) {
			return number
		}
	}
	return 0
}

// secretFiles tries to read each, as a login would.
func (e *exam) secretFiles() {
	if len(e.stacks) == 0 {
		return
	}
	path := e.settings.Paths.Users
	dir, err := account.Open(path, e.settings.Policy.OwnProtocols...)
	if err != nil {
		e.add(Finding{Severity: Error, ID: "users-directory", File: path, What: err.Error() + ".",
			Follows: "Every login that may be asked is denied.", Fix: "It must belong to root (or the verifier's user), and nobody else may write it or a directory above: chown root " + path + " && chmod 700 " + path})
		return
	}
	defer dir.Close()
	names, err := dir.Names()
	if err != nil {
		e.add(Finding{Severity: Error, ID: "users-directory", File: path, What: err.Error() + ".", Follows: "Nobody who has to give a code gets in."})
		return
	}
	enrolled, sent := 0, waiting{}
	for _, name := range names {
		person, err := dir.Load(name)
		if err != nil {
			e.badSecretFile(name, dir.Path(name), err)
		}
		if err != nil || person.Enrolled() {
			enrolled++ // or meant to be
		}
		if err == nil && person.Enrolled() {
			sent.add(e, person)
		}
	}
	e.nothingToSendWith(sent)
	e.strays(path)
	e.nobodys(path, names)
	e.nobodyEnrolled(path, enrolled, len(names))
}

func (e *exam) badSecretFile(name, file string, err error) {
	f := Finding{Severity: Error, ID: "secret-file", File: file, Line: lineIn(file, err), What: unplaced(file, err) + ".",
		Follows: "Every login of " + name + " is denied.", Fix: "Correct it, or enroll again: otpctl enroll " + name + " --replace"}
	if errors.Is(err, account.ErrOfAnother) {
		f.Fix = "If somebody was renamed to " + name + ": otpctl rename OLD " + name + ", which keeps used codes used and recovery codes good."
	}
	if errors.Is(err, safefile.ErrUnsafe) {
		f.Fix = "It must belong to its directory's owner, with mode 0600. If others could read it, enroll again."
	}
	e.add(f)
}

// strays are files whose names no login looks for.
func (e *exam) strays(path string) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return
	}
	for _, entry := range entries {
		name, found := strings.CutSuffix(entry.Name(), ".toml")
		if strings.HasPrefix(entry.Name(), ".") || found && account.CheckName(name) == nil {
			continue
		}
		e.add(Finding{Severity: Warning, ID: "stray-file", File: filepath.Join(path, entry.Name()), What: "No login looks for a file of that name.",
			Follows: "Whoever it is for is not enrolled.", Fix: "Name it after the login name, with the ending .toml."})
	}
}

func (e *exam) nobodyEnrolled(path string, enrolled, files int) {
	refuses := len(e.settings.Policy.Require) > 0 && e.settings.Policy.Unenrolled == config.Refuse && e.settings.Policy.Grace == config.Grace{}
	switch {
	case enrolled > 0:
	case refuses && slices.Contains(e.settings.Policy.Require, config.All):
		e.add(Finding{Severity: Error, ID: "nobody-enrolled", File: e.configPath(), What: `policy.require has "@all", policy.unenrolled is "refuse", and nobody is enrolled.`,
			Follows: "Everybody who is not exempt is denied, root too.", Fix: "otpctl enroll USER, or give policy.grace until people have enrolled."})
	default:
		e.add(Finding{Severity: Note, ID: "nobody-enrolled", File: path, What: fmt.Sprintf("Nobody is enrolled (%s).", count(files, "secret file")),
			Follows: "Nobody is asked for a code, unless policy.require says so.", Fix: "otpctl enroll USER"})
	}
}

// names finds people of the policy that the machine does not know.
func (e *exam) names() {
	path := e.configPath()
	data, _ := os.ReadFile(path)
	for _, list := range []struct {
		key, id, follows string
		selectors        []config.Selector
	}{
		{"exempt", "exempt-unknown", "Nobody is exempt by it: if it is a slip, the account that is meant is asked, and what runs by it hangs.", e.settings.Policy.Exempt},
		{"require", "require-unknown", "If it is a slip, those who are meant are not required to give a code; a group that cannot be looked up counts for everybody.", e.settings.Policy.Require},
	} {
		for _, selector := range list.selectors {
			e.known(selector, Finding{Severity: Warning, ID: list.id, File: path, Line: lineOf(data, list.key), Follows: list.follows,
				What: "policy." + list.key + " names "})
		}
	}
	if slices.Contains(e.settings.Policy.Exempt, config.All) {
		e.add(Finding{Severity: Warning, ID: "exempt-all", File: path, Line: lineOf(data, "exempt"), What: `policy.exempt names "@all".`,
			Follows: "Nobody is asked for a code, whoever is enrolled or required.", Fix: "Name those whom no person runs, or take it out."})
	}
	for _, name := range e.settings.Verifier.Allow {
		e.known(config.Selector(name), Finding{Severity: Warning, ID: "allow-unknown", File: path, Line: lineOf(data, "allow"), What: "verifier.allow names ",
			Follows: "The server that is meant may not ask for anybody."})
	}
}

func (e *exam) known(selector config.Selector, f Finding) {
	lookup, what, name := e.Machine.UserKnown, "the user ", string(selector)
	if group := selector.Group(); group != "" {
		lookup, what, name = e.Machine.GroupKnown, "the group ", group
	}
	if selector == config.All {
		return
	}
	found, err := lookup(name)
	switch {
	case err != nil:
		f.What += what + name + ", which cannot be looked up: " + err.Error() + "."
		f.Fix = "See that the name service answers: getent passwd, getent group."
	case !found:
		f.What += what + name + ", unknown to this machine."
		f.Fix = "Correct the name, or take it out."
	default:
		return
	}
	e.add(f)
}
