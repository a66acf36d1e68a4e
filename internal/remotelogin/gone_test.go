package remotelogin

import (
	"testing"

	"github.com/otpgate/otpgate/internal/testaddress"
)

// newGone is a server that does not listen.
func newGone(t *testing.T) *fake {
	t.Helper()
	_, key := newKey(t)
	return &fake{at: testaddress.Kept(t, "127.0.0.1"), key: key}
}
