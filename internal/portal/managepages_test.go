package portal

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// everyManagePage draws one of the pages for people who are enrolled, with as much on it as
// there may be.
func everyManagePage(p *portal, r *http.Request, table string, codes []string, see func(string, func(http.ResponseWriter))) {
	at := longest.Ends
	switch table {
	case "ask":
		for _, mistake := range []string{"", "no-name"} {
			see(table+" "+mistake, func(w http.ResponseWriter) { p.draw(w, r, 200, table, func(s *pageData) { s.Mistake = mistake }) })
		}
	case "enter":
		for _, mistake := range []string{"", portalwire.WrongCurrent, portalwire.UsedCurrent} {
			see(table+" "+mistake, func(w http.ResponseWriter) {
				p.draw(w, r, 200, table, func(s *pageData) {
					s.Page, s.Mistake = &portalwire.Page{State: "ready", At: at, Name: "a…<e"}, mistake
				})
			})
		}
	case "unseen":
		see(table, func(w http.ResponseWriter) { p.draw(w, r, 200, table, func(s *pageData) { s.Unseen = 3 }) })
	case "codes":
		for _, done := range []string{"", string(portalwire.Confirmed)} {
			see(table+" "+done, func(w http.ResponseWriter) {
				p.draw(w, r, 200, table, func(s *pageData) { s.Codes, s.Done = codes, done })
			})
		}
	case "manage":
		full := fullOverview(at)
		alone := &portalwire.Overview{User: "alice", Ends: at, Devices: []portalwire.Device{{ID: "phone", Kind: "totp", Confirmed: at}}}
		for _, mistake := range append(manageMistakes, "") {
			see(table+" "+mistake, func(w http.ResponseWriter) {
				p.draw(w, r, 200, table, func(s *pageData) { s.Overview, s.Mistake = alone, mistake })
			})
		}
		for done := range doneTexts {
			see(table+" "+string(done), func(w http.ResponseWriter) {
				p.draw(w, r, 200, table, func(s *pageData) { s.Overview, s.Done = full, string(done) })
			})
		}
	}
}

// fullOverview has as many devices and logins as there may be, devices with the longest names,
// and logins that are hard to tell apart: by the verdict alone, by the host or the service
// alone, or by nothing.
func fullOverview(at time.Time) *portalwire.Overview {
	full := &portalwire.Overview{User: "ali<ce", Ends: at, RecoveryLeft: 3, More: 44}
	for n := range account.MaxFactors {
		kind := []string{"totp", "hotp", "email", "sms"}[n%4]
		full.Devices = append(full.Devices, portalwire.Device{ID: strings.Repeat("m", 31) + fmt.Sprint(n), Kind: kind, Confirmed: at, Removable: true})
	}
	const address = "2001:db8:ffff:ffff:ffff:ffff:ffff:ff%02x"
	for n := range 20 {
		full.Sessions = append(full.Sessions, portalwire.Session{ID: "0123456789abcdef", Protocol: "ssh", Address: fmt.Sprintf(address, n), Host: "web1", Since: at, Until: at})
		full.Logins = append(full.Logins, portalwire.Login{ID: "0123456789abcdef", At: at.Add(-time.Duration(n) * time.Minute), Service: "sshd", Host: "server1", Address: fmt.Sprintf(address, 0), Peer: "uid 33", Rule: "totp:" + full.Devices[0].ID})
	}
	for n := range 3 { // at one address
		full.Sessions[n].Address = full.Sessions[3].Address
	}
	full.Sessions[0].Host, full.Sessions[1].Protocol = "web2", "sftp"
	for n := range 8 { // in one minute
		full.Logins[n].At = at.Add(time.Duration(30-n) * time.Second)
	}
	full.Logins[0].Host, full.Logins[1].Address, full.Logins[2].Service = "server2", "", "sudo"
	full.Logins[3].Denied, full.Logins[4].Rule, full.Logins[5].Peer = true, "recovery", ""
	return full
}
