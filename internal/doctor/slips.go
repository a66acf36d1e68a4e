package doctor

import (
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/spelling"
)

// slips finds lines that were meant to call our module in a stack where none
// does: libpam fails them, and everybody with them.
func (e *exam) slips(s authstack.Stack) (found int) {
	for _, line := range s.Lines {
		switch {
		case line.Kind == pamstack.Broken && line.Name() == authstack.ModuleName:
			e.add(authstack.Broken(line, s.Service))
		case line.Kind == pamstack.Module && line.Name() == authstack.ModuleName+"\r":
			e.add(finding.At(line.Position, finding.Finding{Severity: finding.Error, ID: "module-missing", Services: []string{s.Service},
				What:    "The line ends as lines do on Windows, with a carriage return, which libpam takes for a part of the module's name.",
				Follows: e.fails(s, line), Fix: "sed -i 's/\\r$//' " + line.File}))
		case line.Kind == pamstack.Module && misspelt(line.Name()) && !e.there(line):
			e.add(finding.At(line.Position, finding.Finding{Severity: finding.Error, ID: "module-missing", Services: []string{s.Service},
				What:    "The module " + line.Module + " is not in libpam's directories. Is " + authstack.ModuleName + " meant?",
				Follows: e.fails(s, line), Fix: "Write: auth required " + authstack.ModuleName}))
		default:
			continue
		}
		found = 1
	}
	return found
}

func (e *exam) there(line pamstack.Line) bool {
	_, found := e.Machine.Module(line.Module)
	return found
}

// misspelt says whether a name is our module's with a slip or two.
func misspelt(name string) bool {
	return name != authstack.ModuleName && (name == strings.TrimSuffix(authstack.ModuleName, ".so") || spelling.Distance(name, authstack.ModuleName) <= spelling.MaxTypos)
}

// broken finds lines that libpam can make no sense of in a service without our
// line, if one was to be ours or people log in there: it may be what was to
// include ours. It counts those that were to be ours.
func (e *exam) broken(s authstack.Stack) (ours int) {
	_, known := e.settings.Services[s.Service]
	for _, line := range s.Own() {
		meant := strings.Contains(line.Control+line.Module, authstack.ModuleName)
		told := line.Kind == pamstack.Broken && line.Name() == authstack.ModuleName // by slips
		if line.Problem == "" || told || line.Type != pamstack.Auth || !meant && !(known && e.expected) {
			continue
		}
		f := authstack.Broken(line, s.Service)
		if !s.LetsIn(authstack.Outcome{Password: true, Code: authstack.NotAsked}) {
			f.Follows = "The line fails: everybody is denied."
		}
		if strings.Contains(line.Control, "\u00a0") {
			f.Fix = "Type the line again: a space in it is a no-break space, which libpam takes for a letter."
		}
		e.add(f)
		if meant {
			ours++
		}
	}
	return ours
}
