package root

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// sudoers is what sudo's own parser makes of its files.
type sudoers struct {
	main  string
	lines []line
	// unread is why a file that is there was not read.
	unread error
	// specs are all rules in order, and defaults those of each type.
	specs    []spec
	defaults map[string][]defaults
}

// line is one of the files, with those that it goes on with.
type line struct {
	pamstack.Position
	text string
}

// The forms of cvtsudoers(1), as far as they matter here.
type (
	document struct {
		Defaults []defaults `json:"Defaults"`
		Specs    []spec     `json:"User_Specs"`
	}
	defaults struct {
		Binding []entry          `json:"Binding"`
		Options []map[string]any `json:"Options"`
	}
	spec struct {
		Users    []entry   `json:"User_List"`
		Hosts    []entry   `json:"Host_List"`
		Commands []allowed `json:"Cmnd_Specs"`
	}
	allowed struct {
		RunAsUsers  []entry          `json:"runasusers"`
		RunAsGroups []entry          `json:"runasgroups"`
		Options     []map[string]any `json:"Options"`
		Commands    []entry          `json:"Commands"`
	}
	entry struct {
		Username   string `json:"username"`
		Usergroup  string `json:"usergroup"`
		UserID     *int   `json:"userid"`
		UserGID    *int   `json:"usergid"`
		Netgroup   string `json:"netgroup"`
		OtherGroup string `json:"nonunixgroup"`
		Hostname   string `json:"hostname"`
		Network    string `json:"networkaddr"`
		Command    string `json:"command"`
		Negated    bool   `json:"negated"`
	}
)

// types are those of Defaults, by what they are for.
var types = []string{"global", "host", "user", "runas", "command"}

// read has the parser read a file with all that it includes.
func read(ctx context.Context, m *target.Machine, main string) (*sudoers, error) {
	s := &sudoers{main: main, defaults: map[string][]defaults{}}
	s.file(m, main, 0)
	if s.unread != nil {
		return s, s.unread
	}
	var text strings.Builder
	for _, l := range s.lines {
		text.WriteString(l.text + "\n")
	}
	for _, kind := range types {
		out, err := m.Sudoers(ctx, []byte(text.String()), kind)
		if err != nil {
			return s, err
		}
		var parsed document
		if len(out) > 0 { // of nothing it says nothing
			if err := json.Unmarshal(out, &parsed); err != nil {
				return s, err
			}
		}
		s.specs, s.defaults[kind] = parsed.Specs, parsed.Defaults
	}
	return s, nil
}

// file adds the lines of a file and of those that it includes.
func (s *sudoers) file(m *target.Machine, file string, depth int) {
	_, err := target.Read(m.Root, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		s.unread = err
		return
	}
	whole := ""
	var first pamstack.Position
	for place, text := range target.Lines(m.Root, file, depth) {
		if whole == "" {
			first = place
		}
		if part, goesOn := strings.CutSuffix(text, `\`); goesOn {
			whole += part + " "
			continue
		}
		text, whole = whole+text, ""
		if !s.include(m, file, text, depth) {
			s.lines = append(s.lines, line{first, text})
		}
	}
}

// include follows a line that includes others, as sudoers(5) says.
func (s *sudoers) include(m *target.Machine, file, text string, depth int) bool {
	keyword, named, _ := strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
	named = strings.Trim(strings.TrimSpace(named), `"`)
	named = strings.TrimPrefix(strings.ReplaceAll(named, "%h", hostname(m)), m.Root)
	if !filepath.IsAbs(named) {
		named = filepath.Join(filepath.Dir(file), named)
	}
	switch keyword {
	case "@include", "#include":
		s.file(m, named, depth+1)
	case "@includedir", "#includedir":
		paths := m.Glob(named + "/*")
		slices.Sort(paths)
		for _, path := range paths {
			info, err := os.Stat(m.Root + path)
			if name := filepath.Base(path); err == nil && info.Mode().IsRegular() && !strings.HasSuffix(name, "~") && !strings.Contains(name, ".") {
				s.file(m, path, depth+1)
			}
		}
	default:
		return false
	}
	return true
}

// hostname is the machine's, without its domain.
func hostname(m *target.Machine) string {
	name, _ := os.Hostname()
	if m.Root != "" {
		text, _ := target.Read(m.Root, "/etc/hostname")
		name = strings.TrimSpace(string(text))
	}
	name, _, _ = strings.Cut(name, ".")
	return name
}

// here says whether a list of hosts may have this one. A name that is another's is
// known to be so, and an address is not.
func here(m *target.Machine, hosts []entry) bool {
	for i := len(hosts) - 1; i >= 0; i-- { // the last one counts
		host := hosts[i]
		if host.Hostname == "" || host.Hostname == "ALL" {
			return !host.Negated
		}
		bare, _, _ := strings.Cut(strings.ToLower(host.Hostname), ".")
		if ok, err := path.Match(bare, strings.ToLower(hostname(m))); ok || err != nil || hostname(m) == "" {
			return !host.Negated
		}
	}
	return false
}

// at are the lines that begin with one of the words and have another one; the
// whole file if none does.
func (s *sudoers) at(begins func(first string) bool, has string) (found []pamstack.Position) {
	for _, l := range s.lines {
		first, _, _ := strings.Cut(strings.ReplaceAll(strings.ReplaceAll(l.text, "\t", " "), ", ", ","), " ")
		if begins(first) && strings.Contains(l.text, has) {
			found = append(found, l.Position)
		}
	}
	if found == nil {
		return []pamstack.Position{{File: s.main}}
	}
	return found
}

// named is somebody as a rule names them.
func (e entry) named() string {
	switch {
	case e.Username != "":
		return e.Username
	case e.Usergroup != "":
		return "%" + e.Usergroup
	case e.Netgroup != "":
		return "+" + e.Netgroup
	case e.OtherGroup != "":
		return "%:" + e.OtherGroup
	case e.UserID != nil:
		return "#" + number(*e.UserID)
	case e.UserGID != nil:
		return "%#" + number(*e.UserGID)
	}
	return "somebody"
}
