// Package invitation lets people enroll by a link, on a page that is drawn by a
// program which holds no secrets.
//
// The entry point is [Invitations]: an admin's Create, Cancel, List and Forget, and
// what a page needs: Look for a GET, which changes nothing, Begin and Confirm for a
// POST, and Resume for what Begin had to show. It promises that a link has one
// success, however often and wherever it is opened; that what it makes counts only
// once a code of it came back; that the link itself is kept nowhere; and that whoever
// is enrolled needs a code for another device, unless the admin said otherwise, which
// is over as soon as the person's devices are others.
package invitation

import (
	"io"
	"time"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
)

// Invitations are those of a gate's people. Every field must be set.
type Invitations struct {
	People admin.People
	// Random is where links come from: rand.Reader of crypto/rand.
	Random io.Reader
}

// Bounds of how long an invitation is good.
const (
	Shortest = config.ShortestLink
	Longest  = config.LongestLink
)

const (
	day = 24 * time.Hour
	// sessionTime is how long what a browser was shown is good.
	sessionTime = 15 * time.Minute
	// wrongCodes is how many wrong first codes a key gets.
	wrongCodes = 5
	enroll     = "enroll"
)

func (i Invitations) now() time.Time { return i.People.Now().UTC() }

func (i Invitations) place() gate.Place { return gate.PlaceOf(i.People.Config) }
