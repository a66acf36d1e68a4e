package servers

import (
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// statement is one of a web server's: its words, in the order of the files.
type statement struct {
	pamstack.Position
	words []string
}

// nginxService is what nginx's module asks for where it is told no name.
const nginxService = "nginx"

// webNames are the services that Apache and nginx name.
func (e *exam) webNames() (all []Named) {
	looked := map[string]bool{}
	for _, pattern := range webFiles {
		for _, file := range e.machine.Glob(pattern) {
			all = append(all, namesOf(e.machine, e.webStatements(webRoot(file), file, 0, looked))...)
		}
	}
	return all
}

// namesOf are those of one file, with what it includes. Of a name that nothing asks for
// nothing follows.
func namesOf(m *target.Machine, statements []statement) (all []Named) {
	var on pamstack.Position
	for _, s := range statements {
		switch strings.ToLower(s.words[0]) {
		case "authpamservice":
			all = append(all, Named{s.Position, "Apache", s.words[1], false})
		case "auth_pam_service_name":
			all = append(all, Named{s.Position, "nginx", s.words[1], false})
		case "auth_pam":
			if s.words[1] != "off" {
				on = s.Position
			}
		}
	}
	nginx := func(n Named) bool { return n.Program == "nginx" }
	switch {
	case on.File == "":
		return slices.DeleteFunc(all, func(n Named) bool { return nginx(n) && !asksElsewhere(m) })
	case !slices.ContainsFunc(all, nginx) && !namesElsewhere(m):
		all = append(all, Named{on, "nginx", nginxService, true})
	}
	return all
}

// asksElsewhere says whether any of nginx's files has it ask PAM, for names that stand
// in another one.
func asksElsewhere(m *target.Machine) bool { return nginxHas(m, "auth_pam") }

// namesElsewhere says whether any of nginx's files has a name.
func namesElsewhere(m *target.Machine) bool { return nginxHas(m, "auth_pam_service_name") }

func nginxHas(m *target.Machine, directive string) bool {
	e := &exam{machine: m}
	looked := map[string]bool{}
	for _, pattern := range webFiles {
		for _, file := range m.Glob(pattern) {
			if slices.ContainsFunc(e.webStatements(webRoot(file), file, 0, looked), func(s statement) bool { return s.words[0] == directive && s.words[1] != "off" }) {
				return true
			}
		}
	}
	return false
}

// webStatements are those of a file of Apache's or nginx's, each with a word behind its
// own, and of the files that it includes, whose relative names are below root.
func (e *exam) webStatements(root, file string, depth int, looked map[string]bool) (all []statement) {
	if looked[file] {
		return nil
	}
	looked[file] = true
	for place, line := range target.Lines(e.machine.Root, file, depth) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		for part := range strings.FieldsFuncSeq(line, func(r rune) bool { return strings.ContainsRune(";{}", r) }) {
			words := strings.Fields(part)
			for i := range words {
				words[i] = strings.Trim(words[i], `"'`)
			}
			switch {
			case len(words) < 2:
			case slices.Contains([]string{"include", "includeoptional"}, strings.ToLower(words[0])):
				pattern := words[1]
				if !path.IsAbs(pattern) {
					pattern = path.Join(root, pattern)
				}
				for _, included := range e.machine.Glob(pattern) {
					all = append(all, e.webStatements(root, included, depth+1, looked)...)
				}
			default:
				all = append(all, statement{place, words})
			}
		}
	}
	return all
}

// webRoot is the directory that a server's relative names are below: /etc/nginx.
func webRoot(file string) string {
	words := strings.SplitN(file, "/", 4)
	return strings.Join(words[:min(3, len(words))], "/")
}
