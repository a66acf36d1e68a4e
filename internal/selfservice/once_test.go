package selfservice

import (
	"errors"
	"sync"
	"testing"

	"github.com/otpgate/otpgate/internal/invitation"
)

// Of many browsers in which one link is opened with good codes at once one enters, and the
// others are told that the link was used.
func TestEnterAtOnce(t *testing.T) {
	s := newSite(t)
	link := s.link(t)
	codes := s.recovery[:8]
	entered, refused := make([]Entered, len(codes)), make([]error, len(codes))
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i, code := range codes {
		all.Go(func() {
			<-begin
			entered[i], refused[i] = s.Enter(t.Context(), link, code, home)
		})
	}
	close(begin)
	all.Wait()
	in := 0
	for i, err := range refused {
		switch {
		case err == nil:
			in++
			s.shows(t, BrowserSession{Token: entered[i].BrowserSession, Remote: home})
		case !errors.Is(err, invitation.ErrUsed):
			t.Error(err)
		}
	}
	if in != 1 {
		t.Errorf("%d browsers are in, expected 1", in)
	}
}
