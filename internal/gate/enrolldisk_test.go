package gate

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Whoever's device counts is shown the recovery codes, also where the disk does not say
// that it keeps the file: there is no other time.
func TestEnrollOnAFailingDisk(t *testing.T) {
	const variable = "GATE_ENROLLING"
	p := enrolling(t)
	if users := os.Getenv(variable); users != "" {
		p.Config.Paths.Users = users
		p.Accounts = userFiles{PlaceOf(p.Config)}
		conversation := &script{}
		conversation.answers = []any{"", func() any { return p.shown(t, conversation) }, ""}
		verdict := p.login("bob", conversation)
		fmt.Printf("verdict %v, codes shown: %v\n%s\n", verdict.Decision, strings.Contains(strings.Join(conversation.told, "\n"), enrolled), p.Lines())
		return
	}
	users := p.Config.Paths.Users
	cmd := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-P", users, "-e", "trace=fsync", "-e", "inject=fsync:error=EIO",
		os.Args[0], "-test.run=^TestEnrollOnAFailingDisk$")
	cmd.Env = append(os.Environ(), variable+"="+users, "GORACE=atexit_sleep_ms=0")
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), fmt.Sprintf("verdict %v, codes shown: true", Accept)) || !strings.Contains(string(said), "which a power failure may undo") {
		t.Errorf("%v\n%s", err, said)
	}
	if person, err := p.Accounts.Load("bob"); err != nil || len(person.Confirmed()) != 1 {
		t.Errorf("%d devices count, %v", len(person.Confirmed()), err)
	}
}
