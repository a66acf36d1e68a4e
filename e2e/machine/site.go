package machine

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"

	"github.com/otpgate/otpgate/e2e/network"
)

// Path is a way from the front to the engine.
type Path string

// The two ways. A login that takes the resident one has no core to fork: its
// front lies alone, so that a test of that path cannot pass by the other.
const (
	Forked   Path = "forked"
	Resident Path = "resident"
	// Remote is by the resident verifier of a client to those of its servers, each in a
	// network namespace of the fleet.
	Remote Path = "remote"
)

// Paths are those on one machine.
var Paths = []Path{Forked, Resident}

// FrontAlone is a front without a core beside it.
const FrontAlone = Root + "/front-alone/pam_otpgate.so"

// Sender is the command that a forked core runs to send a code.
const Sender = Files + "/otpgate-send"

// Site is a configuration with directories of its own, and one way to it.
type Site struct {
	Name                         string
	Config, Users, State, Socket string
	Path                         Path
	// Verifier is what answers on the resident path, nil on the other one.
	Verifier *Verifier
	// Logs, if set, has the site's daemons start WithoutLog.
	Logs string
	// In is where the site's daemons run; nil is the machine's own network.
	In *network.Namespace
	// servers are who decides, if this site is a client's, and more what the
	// configuration has in any case.
	servers []*Server
	more    string
	// own is the table [paths] of a client, whose Users and State are its first server's.
	own string
	// ledgerd is the socket of an otpgate-ledgerd that is not the site's alone.
	ledgerd string
}

// NewSite makes an empty site whose logins fork a core, and writes its
// configuration: text, with the paths added.
func NewSite(t T, name, text string) Site {
	t.Helper()
	dir := filepath.Join("/etc/otpgate-sites", name)
	site := Site{
		Name: name, Config: dir + "/otpgate.toml", Users: dir + "/users", State: filepath.Join("/var/lib", name),
		Socket: "/run/otpgate-" + name + "/verifier.sock", Path: Forked,
	}
	for _, made := range []string{site.Users, site.State} {
		if err := os.MkdirAll(made, 0o700); err != nil {
			t.Fatalf("make the site: %v", err)
		}
	}
	t.Cleanup(func() { putAway(t, dir, site.State) })
	// The configuration is for all to read, also for a verifier's own user.
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatalf("make the site: %v", err)
	}
	site.Configure(t, text)
	return site
}

var away atomic.Int32

// putAway gives what a site leaves other names, so that a test which is run again has
// an empty one. The files stay: they are searched for secrets at the end.
func putAway(t T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if err := os.Rename(dir, fmt.Sprintf("%s.%d", dir, away.Add(1))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("put the site away: %v", err)
		}
	}
}

// NewSite makes an empty site, its name ending in the path's, whose logins take
// that path. The resident one has a verifier that runs as long as t.
func (p Path) NewSite(t T, name, text string) Site {
	t.Helper()
	if p == Remote {
		return RemoteFleet(t).newSite(t, name+"-remote", text)
	}
	site := NewSite(t, name+"-"+string(p), text)
	if p == Resident {
		site.Verifier = StartVerifier(t, site, VerifierOptions{})
		site.Path = Resident
	}
	return site
}

// Over is the site with its logins taking that path.
func (s Site) Over(path Path) Site {
	s.Path = path
	return s
}

// peersTable says who may ask a machine's verifier for others.
var peersTable = regexp.MustCompile(`(?m)^\[verifier\]\nallow = .*\n`)

// Configure writes the site's configuration again: where a server decides, that one's,
// but for what each machine has of its own.
func (s Site) Configure(t T, text string) {
	t.Helper()
	s.ConfigureWith(t, text, "")
}

// ConfigureWith is Configure for a program of otpgate's own that runs at the site,
// which has a table of its own there, also where another server decides.
func (s Site) ConfigureWith(t T, text, table string) {
	t.Helper()
	for _, server := range s.servers {
		server.Configure(t, peersTable.ReplaceAllString(text, ""))
	}
	if len(s.servers) > 0 {
		text = peersTable.FindString(text)
	}
	if err := os.WriteFile(s.Config, []byte(text+table+s.more+cmp.Or(s.own, s.paths())), 0o644); err != nil {
		t.Fatalf("write the configuration: %v", err)
	}
}

func (s Site) paths() string {
	return fmt.Sprintf("\n[paths]\nusers = %q\nstate = %q\nsocket = %q\nsender = %q\nbreak_glass = %q\n", s.Users, s.State, s.Socket, Sender, s.breakGlass())
}

// Arguments name the site's configuration and path in pam.d, after others.
func (s Site) Arguments(others ...string) []string {
	verifier := "verifier=off"
	if s.Path != Forked {
		verifier = "verifier=" + s.Socket
	}
	return append(others, "config="+s.Config, verifier)
}

// Line is the line in pam.d.
func (s Site) Line(arguments ...string) string {
	module := Module
	if s.Path != Forked {
		module = FrontAlone
	}
	return moduleLine(module, s.Arguments(arguments...))
}

// AddToService is the function of that name with the site's line.
func (s Site) AddToService(t T, from, to string, arguments ...string) {
	t.Helper()
	addToService(t, from, to, s.Line(arguments...))
	s.claim(to)
}

// AroundPassword writes a PAM service for hosts that have one field: password,
// the lines of the password stage, between the line that takes the code off and
// the one that asks for it.
func (s Site) AroundPassword(t T, service, password string, arguments ...string) {
	t.Helper()
	split := s.Line(append([]string{"split"}, arguments...)...)
	s.WriteService(t, service, split+"\n"+password+"\n"+s.Line(arguments...)+"\naccount required pam_unix.so\nsession required pam_permit.so\n")
}

// CodeOnly writes a PAM service without a password stage.
func (s Site) CodeOnly(t T, service string, arguments ...string) {
	t.Helper()
	s.WriteService(t, service, "auth required pam_permit.so\n"+s.Line(arguments...)+"\naccount required pam_permit.so\n")
}

// Deciding is the configuration of whoever decides the site's logins: of the first of
// its servers, if it has any.
func (s Site) Deciding() string {
	if len(s.servers) > 0 {
		return s.servers[0].Config
	}
	return s.Config
}

// EditDeciding changes the configurations of all who decide the site's logins.
func (s Site) EditDeciding(t T, change func(text string) string) {
	t.Helper()
	paths := []string{s.Config}
	if len(s.servers) > 0 {
		paths = nil
	}
	for _, server := range s.servers {
		paths = append(paths, server.Config)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, []byte(change(string(text))), 0o644)
		}
		if err != nil {
			t.Fatalf("change a configuration: %v", err)
		}
	}
}
