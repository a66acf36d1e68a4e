package portalwire_test

import (
	"testing"

	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// The page knows a link's state by the word that the engine has for it.
func TestStates(t *testing.T) {
	for state, word := range map[invitation.State]string{
		invitation.Ready: portalwire.Ready, invitation.Unknown: portalwire.Unknown, invitation.Used: portalwire.Used,
		invitation.Expired: portalwire.Expired, invitation.Cancelled: portalwire.Cancelled, invitation.Disabled: portalwire.Disabled,
		invitation.Removed: portalwire.Removed, invitation.Overtaken: portalwire.Overtaken,
	} {
		if state.String() != word {
			t.Errorf("the engine says %q, and the page knows %q", state, word)
		}
	}
}
