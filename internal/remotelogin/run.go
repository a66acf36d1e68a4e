package remotelogin

import (
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/remotewire"
)

// margin is how much earlier than the client a server's time for a dialogue ends, so
// that its word comes before the client stops listening.
const margin = time.Second

// Run begins the login at the server that took it, and passes its questions to the
// person, until the end of the dialogue's time. After an error there is no outcome:
// the login is denied, and must not be begun again.
func (t *Taken) Run(begin remotewire.Begin, person remotewire.Person, end time.Time) (remotewire.Outcome, error) {
	if err := t.conn.SetDeadline(end); err != nil {
		t.conn.Close()
		return remotewire.Outcome{}, err
	}
	left := time.Until(end) - margin
	begin.Start.Timeout = max(time.Second, left.Truncate(time.Second))
	begin.Start.Config, begin.Start.Debug, begin.Start.RemoteUser, begin.Start.Rule = "", false, "", false
	outcome, err := remotewire.Outcome{}, remotewire.WriteBegin(t.conn, begin)
	if err != nil {
		err = remotewire.EngineError{Err: err}
	} else {
		outcome, err = remotewire.Relay(t.conn, person)
	}
	var engine remotewire.EngineError
	switch {
	case errors.As(err, &engine):
		t.conn.Close()
		return remotewire.Outcome{}, fmt.Errorf("%s: the dialogue broke off: %w", t.Server, err)
	case err != nil:
		t.conn.Close()
		return remotewire.Outcome{}, err
	}
	if t.conn.SetDeadline(time.Time{}) != nil {
		t.conn.Close()
		return outcome, nil
	}
	t.server.pool.Put(t.conn)
	return outcome, nil
}
