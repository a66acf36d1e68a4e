package machine

import (
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

// WriteService writes a PAM service.
func WriteService(t T, name, stack string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("/etc/pam.d", name), []byte(stack), 0o644); err != nil {
		t.Fatalf("write the PAM service: %v", err)
	}
}
