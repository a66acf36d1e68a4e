package invitations

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/invitation"
)

// A link that was cancelled is said to be, and logged, also where the key that it showed
// cannot be taken out of the secret file.
func TestCancelledAllTheSame(t *testing.T) {
	machine, engine := enginetest.New(t, t.TempDir())
	g := admin.People{Gate: engine}
	created, err := of(g).Create(t.Context(), invitation.Wanted{User: "alice", Factor: "phone", For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := of(g).Begin(t.Context(), created.Link, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	// Where the new file would be written.
	if err := os.MkdirAll(filepath.Join(engine.Config.Paths.Users, ".new-alice.toml", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, changed, err := cancelOne(t.Context(), g, "alice", false)
	if !changed || err == nil || !strings.HasPrefix(err.Error(), "1 invitation is cancelled, but: ") {
		t.Errorf("changed %v, %v", changed, err)
	}
	if log := machine.Lines(); !strings.Contains(log, "otpctl invite cancel") {
		t.Errorf("the log has\n%s", log)
	}
}
