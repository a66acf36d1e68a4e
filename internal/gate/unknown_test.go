package gate

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Names that nobody has leave one entry behind, of a bounded size, and whom the
// system knows has a grace all the same.
func TestMadeUpNamesLeaveNoFiles(t *testing.T) {
	p := newFixture(t)
	dir := t.TempDir()
	store, err := ledger.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	p.Ledger = store
	p.Aliases = map[string]string{"known": "known"}
	p.Config.Policy.Require, p.Config.Policy.Grace.For = []config.Selector{config.All}, time.Hour
	for i := range maxUnknown + 5 {
		want := "policy.grace"
		if i >= maxUnknown {
			want = "policy.unenrolled"
		}
		if v := p.login(fmt.Sprintf("made-up-%d", i), says()); v.Rule != want {
			t.Fatalf("name %d: %+v", i, v)
		}
	}
	expect(t, p.login("known", says()), NotAsked, "policy.grace")
	expect(t, p.login("Made-Up-7", says()), NotAsked, "policy.grace")
	p.Clock = p.Clock.Add(2 * time.Hour)
	expect(t, p.login("made-up-7", says()), Deny, "policy.unenrolled")
	files, err := os.ReadDir(dir + "/users")
	if err != nil || len(files) != 2 {
		t.Errorf("%d files, %v, expected one of a person and one of unknown names", len(files), err)
	}
	if until, begun, err := p.GraceOf(t.Context(), "made-up-1004"); err != nil || begun || !until.IsZero() {
		t.Errorf("grace of one too many: %v, %v, %v", until, begun, err)
	}
}
