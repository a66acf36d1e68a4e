package portal

import (
	"time"

	"github.com/otpgate/otpgate/internal/portalwire"
)

// SameSession is the number of a row of the remembered logins, from 1, if another row is of
// the same place: nothing else in the names of their buttons tells them apart for who hears
// them. It is 0 otherwise. It is for the templates, as is SameLogin.
func (s *pageData) SameSession(row int) int {
	return sameRow(s.Overview.Sessions, row, func(one portalwire.Session) portalwire.Session {
		return portalwire.Session{Protocol: one.Protocol, Address: one.Address, Host: one.Host}
	})
}

// SameLogin is the number of a row of the last logins, from 1, if another row says the same,
// as of two logins in one minute. It is 0 otherwise.
func (s *pageData) SameLogin(row int) int {
	type said struct {
		day, with string
		portalwire.Login
	}
	return sameRow(s.Overview.Logins, row, func(one portalwire.Login) said {
		text := said{day: s.Day(one.At)}
		if !one.Denied { // of a wrong code it is not shown
			text.with, _ = s.With(one.Rule)
		}
		one.ID, one.At, one.Rule = "", time.Time{}, ""
		text.Login = one
		return text
	})
}

func sameRow[Row any, Said comparable](rows []Row, at int, says func(Row) Said) int {
	for i, other := range rows {
		if i != at && says(other) == says(rows[at]) {
			return at + 1
		}
	}
	return 0
}
