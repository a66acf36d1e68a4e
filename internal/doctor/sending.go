package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
)

// waiting are people whose codes are to be sent, by the table of the
// configuration that would say how and is not there.
type waiting map[string][]string

// add looks at the confirmed factors of a person who counts. A text message goes
// by email where it can.
func (w waiting) add(e *exam, person account.Person) {
	for _, f := range person.Confirmed() {
		switch {
		case f.Kind == account.Email && e.settings.Email == nil:
			w["[email]"] = append(w["[email]"], person.User)
		case f.Kind == account.SMS && e.settings.SMS == nil && (e.settings.Email == nil || !person.EmailInstead()):
			w["[sms]"] = append(w["[sms]"], person.User)
		}
	}
}

// nothingToSendWith says who gets no code.
func (e *exam) nothingToSendWith(w waiting) {
	for _, table := range []string{"[email]", "[sms]"} {
		users := slices.Compact(w[table])
		if len(users) == 0 {
			continue
		}
		what := users[0]
		if more := len(users) - 1; more > 0 {
			what = fmt.Sprintf("%s and %d more", what, more)
		}
		e.add(Finding{Severity: Warning, ID: "nothing-to-send-with", File: e.configPath(),
			What:    fmt.Sprintf("There is no table %s, and codes are to be sent so to %s.", table, what),
			Follows: "No code reaches them: who has no app, token or recovery code beside is denied.",
			Fix:     "Write the table, see docs/sent-codes.md, or take the factor away: otpctl remove " + users[0] + " --id " + strings.Trim(table, "[]")})
	}
}
