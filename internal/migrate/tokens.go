package migrate

import (
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/tokenfile"
)

// tokenReach is how many steps ahead of now a code may have been used elsewhere: RFC
// 6238 section 5.2 recommends that servers take one.
const tokenReach = 1

// Tokens makes people of devices whose users are known: one Person for each, in the
// order of their first devices. Such files do not say which codes by time were used,
// so that all until now are.
func Tokens(tokens []tokenfile.Token, now time.Time) (people []Person) {
	places := map[string]int{}
	for _, t := range tokens {
		at, found := places[t.User]
		if !found {
			at = len(people)
			places[t.User] = at
			people = append(people, Person{Imported: admin.Imported{User: t.User}})
		}
		people[at].addToken(t, now)
	}
	return people
}

func (p *Person) addToken(t tokenfile.Token, now time.Time) {
	if t.Line > 0 {
		p.Lines = append(p.Lines, t.Line)
	} else {
		p.Entries = append(p.Entries, t.Number)
	}
	for _, remark := range t.Remarks {
		p.remark("%s: %s", t.Place(), remark)
	}
	f := admin.ImportedFactor{Factor: t.Factor}
	if t.Factor.Kind == account.HOTP {
		f.Factor.ID = p.nextID("token")
	} else {
		f.Factor.ID = p.nextID("phone")
		f.Use = &ledger.Use{
			Step:  stepOf(now, t.Factor.Period) + tokenReach + int64(t.Drift),
			Drift: t.Drift, Resynced: t.Drift,
		}
	}
	p.Factors = append(p.Factors, f)
}
