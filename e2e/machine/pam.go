package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/otpgate/otpgate/e2e/network"
)

// stockServices are the real machine's PAM services, which no test changes.
const stockServices = Root + "/pam.d"

// afterPassword is the line of Debian's stacks that ours comes behind.
const afterPassword = "@include common-auth"

// AddToService writes the PAM service named to: the real machine's service from
// with the module's line added after the password stage, as an admin would.
func AddToService(t T, from, to string, arguments ...string) {
	t.Helper()
	addToService(t, from, to, ModuleLine(arguments...))
}

func addToService(t T, from, to, line string) {
	t.Helper()
	stack, err := os.ReadFile(filepath.Join(stockServices, from))
	if err != nil {
		t.Fatalf("read the PAM service: %v", err)
	}
	with := strings.Replace(withoutModule(string(stack)), afterPassword, afterPassword+"\n"+line, 1)
	if !strings.Contains(with, line) {
		t.Fatalf("PAM service %s: expected the line %q in it", from, afterPassword)
	}
	WriteService(t, to, with)
}

// withoutModule takes out the line of a machine that has otpgate already: it
// would ask for a code of its own.
func withoutModule(stack string) string {
	var kept strings.Builder
	for line := range strings.Lines(stack) {
		if !strings.Contains(line, "pam_otpgate.so") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// ModuleLine is the line in pam.d.
func ModuleLine(arguments ...string) string { return moduleLine(Module, arguments) }

func moduleLine(module string, arguments []string) string {
	return strings.TrimSpace("auth required " + module + " " + strings.Join(arguments, " "))
}

// WriteService writes a PAM service. Where it is of a site in a network namespace, Site's
// method of that name says so.
func WriteService(t T, name, stack string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("/etc/pam.d", name), []byte(stack), 0o644); err != nil {
		t.Fatalf("write the PAM service: %v", err)
	}
	places.Lock()
	defer places.Unlock()
	if _, claimed := places.of[name]; !claimed {
		places.of[name] = nil
	}
}

// places are the network namespaces that have PAM services, by these: /etc/pam.d is one
// for all.
var places = struct {
	sync.Mutex
	of map[string]*network.Namespace
}{of: map[string]*network.Namespace{}}

// PlaceOf is where what asks that PAM service runs: in the network namespace of the site
// that has it. nil is the machine's own network, which has the services of no site and those
// of the real machine. It fails t if nobody has written such a service so far: what starts
// before its site has would run in the wrong network, and be in.
func PlaceOf(t T, service string) *network.Namespace {
	t.Helper()
	places.Lock()
	place, claimed := places.of[service]
	places.Unlock()
	if claimed {
		return place
	}
	if _, err := os.Stat(filepath.Join(stockServices, service)); err != nil {
		t.Fatalf("PAM service %s: expected that it is written before what asks it starts: %v", service, err)
	}
	return nil
}

// ExpectIn fails t unless the process what runs in the network namespace place, which for
// nil is the machine's own.
func ExpectIn(t T, place *network.Namespace, what string, pid int) {
	t.Helper()
	if has, err := place.Has(pid); err != nil || !has {
		t.Errorf("%s, process %d: expected it in network namespace %s: %v", what, pid, place, err)
	}
}

// claim notes that the service is this site's.
func (s Site) claim(service string) {
	places.Lock()
	defer places.Unlock()
	places.of[service] = s.In
}

// Open is the function of that name for a program that runs on the site's machine.
func (s Site) Open(t T, cmd *exec.Cmd) (terminal *Terminal) {
	t.Helper()
	s.In.Within(t, func() { terminal = Open(t, cmd) })
	return terminal
}

// WriteService writes a PAM service of the site's.
func (s Site) WriteService(t T, service, stack string) {
	t.Helper()
	WriteService(t, service, stack)
	s.claim(service)
}
