package migrate

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// The columns of a line for pam_oath: type, user, PIN, key, and what logins
// write, a counter, the last code and when it was given.
const (
	oathType = iota
	oathUser
	oathPIN
	oathKey
	oathCounter
	oathLast
	oathWhen
)

// oathTime is how pam_oath writes a time: that of the machine, without a zone.
const oathTime = "2006-01-02T15:04:05L"

// oathReach is how many steps from when it was given the last code is looked
// for: as far as a clock that wanders is followed here.
const oathReach = 20

// OathOptions say how to take what has no place here.
type OathOptions struct {
	// WithoutPINs takes lines that have a PIN, and drops it.
	WithoutPINs bool
	// Zone is that of the times in the file, the machine's.
	Zone *time.Location
}

// Oath reads a usersfile of pam_oath's or of another program of that format.
// There is one Person for each name, in the order of their first lines, with a
// factor for each line; a line that cannot be taken fails the person.
func Oath(data []byte, now time.Time, options OathOptions) (people []Person) {
	number := 0
	for text := range strings.Lines(string(data)) {
		number++
		fields := strings.Fields(text)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		user := ""
		if len(fields) > oathUser {
			user = fields[oathUser]
		}
		at := slices.IndexFunc(people, func(p Person) bool { return p.User == user })
		if at < 0 {
			at = len(people)
			people = append(people, Person{Imported: admin.Imported{User: user}})
		}
		people[at].addOath(number, fields, now, options)
	}
	return people
}

func (p *Person) addOath(number int, fields []string, now time.Time, options OathOptions) {
	p.Lines = append(p.Lines, number)
	f, err := p.oathLine(fields, now, options)
	if err != nil {
		p.Err = errors.Join(p.Err, fmt.Errorf("line %d: %w", number, err))
		return
	}
	p.Factors = append(p.Factors, f)
}

// oathKind is a type of line. A period of 0 says that it counts.
type oathKind struct{ digits, period int }

func oathKindOf(text string) (kind oathKind, ok bool) {
	parts := strings.Split(text, "/")
	kind.digits = 6
	if parts[0] != "HOTP" || len(parts) > 3 {
		return oathKind{}, false
	}
	if len(parts) > 1 {
		period, found := map[string]int{"E": 0, "T30": 30, "T60": 60}[parts[1]]
		if !found {
			return oathKind{}, false
		}
		kind.period = period
	}
	if len(parts) > 2 {
		digits, found := map[string]int{"6": 6, "7": 7, "8": 8}[parts[2]]
		if !found {
			return oathKind{}, false
		}
		kind.digits = digits
	}
	return kind, true
}

func (p *Person) oathLine(fields []string, now time.Time, options OathOptions) (admin.ImportedFactor, error) {
	none := admin.ImportedFactor{}
	if len(fields) <= oathKey {
		return none, errors.New("expected at least a type, a user, a PIN and a key")
	}
	kind, ok := oathKindOf(fields[oathType])
	if !ok {
		return none, errors.New("expected the type HOTP, HOTP/E, HOTP/T30 or HOTP/T60, with /6, /7 or /8 or nothing after it")
	}
	if pin := fields[oathPIN]; pin != "-" && pin != "+" {
		if !options.WithoutPINs {
			return none, ErrPIN
		}
		p.remark("line %d: its PIN is not asked for any more", p.Lines[len(p.Lines)-1])
	}
	key, err := hex.DecodeString(fields[oathKey])
	if err != nil {
		return none, errors.New("expected the key in hexadecimal")
	}
	// The rules for keys are those of secret files.
	var secret account.Secret
	if err := secret.UnmarshalText([]byte(account.Secret(key).Base32())); err != nil {
		return none, errors.New("the key is too short or too long: expected 20 to 256 hexadecimal digits")
	}
	if kind.period > 0 {
		f := newApp(p.nextID("phone"), secret, kind.digits, kind.period)
		use, err := p.oathUse(f, fields, now, options)
		return admin.ImportedFactor{Factor: f, Use: use}, err
	}
	counter, err := oathNext(fields)
	return admin.ImportedFactor{Factor: newToken(p.nextID("token"), secret, kind.digits, counter)}, err
}

// ErrPIN is wrapped by the error for a line with a PIN.
var ErrPIN = errors.New("it has a PIN, and otpgate asks for none: whoever has the device would not need it any more")

// nextID is the name of the person's next device of a kind.
func (p *Person) nextID(usual string) string {
	id := usual
	for n := 2; slices.ContainsFunc(p.Factors, func(f admin.ImportedFactor) bool { return f.Factor.ID == id }); n++ {
		id = usual + strconv.Itoa(n)
	}
	return id
}

// oathNext is the first counter that may be used. Once there was a login,
// pam_oath writes down the one that was used, and looks there again: what keeps
// the same code out is that it is the last one.
func oathNext(fields []string) (int64, error) {
	if len(fields) <= oathCounter {
		return 0, nil
	}
	counter, err := strconv.ParseInt(fields[oathCounter], 10, 64)
	if err != nil || counter < 0 || counter > 1<<40 {
		return 0, fmt.Errorf("the counter: expected a number from 0 to %d", int64(1)<<40)
	}
	if len(fields) > oathLast {
		counter++
	}
	return counter, nil
}

// oathUse says what was used of an app: its last code and all before. The
// counter means nothing there.
func (p *Person) oathUse(f account.Factor, fields []string, now time.Time, options OathOptions) (*ledger.Use, error) {
	if len(fields) <= oathLast {
		return nil, nil
	}
	given, err := time.Time{}, errors.New("none")
	if len(fields) > oathWhen {
		given, err = time.ParseInLocation(oathTime, fields[oathWhen], options.Zone)
	}
	if err != nil && len(fields) > oathWhen {
		return nil, errors.New("the time of the last code: expected one such as 2026-11-22T10:00:00L")
	}
	app := factor.TOTP{User: p.User, Factor: f}
	if off, found := app.Displaced(fields[oathLast], given, oathReach); err == nil && found && !given.After(now) {
		return &ledger.Use{Step: app.Step(given) + int64(off), Drift: off}, nil
	}
	p.remark("line %d: its last code is not one of the time beside it; all until now count as used", p.Lines[len(p.Lines)-1])
	// The clock may have had another zone.
	ahead, _ := app.Displaced(fields[oathLast], now, oathReach)
	return &ledger.Use{Step: app.Step(now) + int64(max(0, ahead))}, nil
}
