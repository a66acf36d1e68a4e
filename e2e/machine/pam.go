package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// stockServices are the real machine's PAM services, which no test changes.
const stockServices = Root + "/pam.d"

// afterPassword is the line of Debian's stacks that ours comes behind.
const afterPassword = "@include common-auth"

// AddToService writes the PAM service named to: the real machine's service from
// with the module's line added after the password stage, as an admin would.
func AddToService(t T, from, to string, arguments ...string) {
	t.Helper()
	stack, err := os.ReadFile(filepath.Join(stockServices, from))
	if err != nil {
		t.Fatalf("read the PAM service: %v", err)
	}
	with := strings.Replace(withoutModule(string(stack)), afterPassword, afterPassword+"\n"+ModuleLine(arguments...), 1)
	if !strings.Contains(with, Module) {
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
func ModuleLine(arguments ...string) string {
	return strings.TrimSpace("auth required " + Module + " " + strings.Join(arguments, " "))
}

// CodeOnly is a stack without a password stage.
func CodeOnly(arguments ...string) string {
	return "auth required pam_permit.so\n" + ModuleLine(arguments...) + "\naccount required pam_permit.so\n"
}

// WriteService writes a PAM service.
func WriteService(t T, name, stack string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("/etc/pam.d", name), []byte(stack), 0o644); err != nil {
		t.Fatalf("write the PAM service: %v", err)
	}
}

// Site is a configuration with directories of its own.
type Site struct {
	Config, Users, State string
}

// NewSite makes an empty site and writes its configuration: text, with the
// paths added.
func NewSite(t T, name, text string) Site {
	t.Helper()
	dir := filepath.Join("/etc/otpgate-sites", name)
	site := Site{Config: dir + "/otpgate.toml", Users: dir + "/users", State: filepath.Join("/var/lib", name)}
	for _, made := range []string{site.Users, site.State} {
		if err := os.MkdirAll(made, 0o700); err != nil {
			t.Fatalf("make the site: %v", err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("make the site: %v", err)
	}
	site.Configure(t, text)
	return site
}

// Configure writes the site's configuration again.
func (s Site) Configure(t T, text string) {
	t.Helper()
	paths := fmt.Sprintf("\n[paths]\nusers = %q\nstate = %q\nsocket = %q\n", s.Users, s.State, "/run/otpgate-none.sock")
	if err := os.WriteFile(s.Config, []byte(text+paths), 0o644); err != nil {
		t.Fatalf("write the configuration: %v", err)
	}
}

// Argument names the site's configuration in pam.d.
func (s Site) Argument() string { return "config=" + s.Config }
