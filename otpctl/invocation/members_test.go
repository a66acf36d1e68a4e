package invocation

import (
	"errors"
	"slices"
	"testing"

	"github.com/otpgate/otpgate/internal/nss"
)

// Members are found by the group's own list and as a main group, by the machine's
// name services.
func TestMembersOf(t *testing.T) {
	a := NewApp(World{})
	root, err := a.MembersOf("root") // root's main group, which lists nobody
	if err != nil || !slices.Contains(root.Names, "root") || root.Missing != "" {
		t.Errorf("root: %+v, %v", root, err)
	}
	if _, err := a.MembersOf("otpgate-no-such-group"); !errors.Is(err, nss.ErrUnknownGroup) {
		t.Errorf("an unknown group: %v", err)
	}
	if _, err := (systemGroups{}).Members("otpgate-no-such-group"); !errors.Is(err, nss.ErrUnknownGroup) {
		t.Errorf("an unknown group's list: %v", err)
	}
	logins, _, err := a.Everybody()
	if err != nil || !slices.ContainsFunc(logins, func(l Login) bool { return l.Name == "root" && l.UID == 0 }) {
		t.Errorf("everybody: %v, %v", logins, err)
	}
}
