package migrate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/ledger"
)

// The default of STEP_SIZE and of WINDOW_SIZE, and the bounds of the latter, as
// pam_google_authenticator(8) and its FILEFORMAT have them.
const (
	googleStep   = 30
	googleWindow = 3
	googleDigits = 6
)

// resyncReach is how far, in seconds, a clock may be off here, see
// factor.Resync.
const resyncReach = 24 * 60 * 60

// google is a file of google-authenticator's, taken apart.
type google struct {
	secret  account.Secret
	options map[string]option
	scratch []string
	stopped int // the line from which the module reads no further, 0 if there is none
}

type option struct {
	line  int
	value string
}

// GoogleAuthenticator reads what google-authenticator(1) keeps about one
// person. now is when it is read: a file that does not say which codes were
// used leaves none good of those that could be given until then.
func GoogleAuthenticator(user string, data []byte, now time.Time) Person {
	p := Person{Imported: admin.Imported{User: user}}
	file, err := takeApart(string(data))
	if err == nil {
		err = p.fromGoogle(file, now)
	}
	if err != nil {
		return Person{Imported: admin.Imported{User: user}, Err: err}
	}
	p.Scratch = file.scratch
	if file.stopped > 0 {
		p.remark("line %d is neither an option nor a scratch code; the module reads no codes from there on, and none are taken", file.stopped)
	}
	return p
}

func (p *Person) remark(format string, values ...any) {
	p.Remarks = append(p.Remarks, fmt.Sprintf(format, values...))
}

// takeApart reads the text as the module does: the key, then options and
// scratch codes in any order, until a line that is neither. Of an option that
// is there twice the first counts.
func takeApart(text string) (google, error) {
	if strings.ContainsRune(text, 0) {
		return google{}, errors.New("it has NUL bytes in it")
	}
	first, rest, _ := strings.Cut(text, "\n")
	secret, err := googleSecret(first)
	if err != nil {
		return google{}, err
	}
	file, number := google{secret: secret, options: map[string]option{}}, 1
	for line := range strings.Lines(rest) {
		number++
		line = strings.TrimRight(line, "\r\n")
		switch words, isOption := strings.CutPrefix(line, `" `); {
		case isOption:
			name := words[:strings.IndexAny(words+" ", " \t")]
			if _, found := file.options[name]; !found {
				file.options[name] = option{number, strings.TrimSpace(words[len(name):])}
			}
		case line == "" || strings.HasPrefix(line, `"`) || file.stopped > 0:
		case isScratch(line):
			file.scratch = append(file.scratch, line)
		default:
			file.stopped = number
		}
	}
	return file, nil
}

// isScratch says whether a line is a code: eight digits, the first not 0.
func isScratch(line string) bool {
	return len(line) == 8 && line[0] != '0' && strings.Trim(line, "0123456789") == ""
}

// googleSecret reads the first line with the module's own leniency: digits that
// look like letters are those, spaces and dashes are nothing, and bits that make
// no whole byte are dropped.
func googleSecret(line string) (account.Secret, error) {
	text := strings.NewReplacer("0", "O", "1", "L", "8", "B", " ", "", "\t", "", "-", "", "\r", "").Replace(line)
	if strings.Contains(text, "=") {
		return nil, errSecret
	}
	switch len(text) % 8 {
	case 1, 3, 6:
		text = text[:len(text)-1]
	}
	var secret account.Secret
	if err := secret.UnmarshalText([]byte(text)); err != nil {
		return nil, fmt.Errorf("the key in line 1: %w", err)
	}
	return secret, nil
}

func (p *Person) fromGoogle(file google, now time.Time) error {
	window, err := file.number("WINDOW_SIZE", googleWindow, 1, maxSteps)
	if err != nil {
		return err
	}
	if _, counts := file.options["HOTP_COUNTER"]; counts {
		counter, err := file.number("HOTP_COUNTER", 0, 1, 1<<40)
		if err != nil {
			return err
		}
		p.Window.Codes = int(window) - 1
		p.Factors = []admin.ImportedFactor{{Factor: newToken("token", file.secret, googleDigits, counter)}}
		return nil
	}
	if _, timed := file.options["TOTP_AUTH"]; !timed {
		return errors.New("it has neither TOTP_AUTH nor HOTP_COUNTER, so that no code but the scratch codes is right")
	}
	period, err := file.number("STEP_SIZE", googleStep, 1, 60)
	if err != nil {
		return err
	}
	skew, err := file.number("TIME_SKEW", 0, -resyncReach/period, resyncReach/period)
	if err != nil {
		return err
	}
	p.Window.Steps = int(window) / 2
	f := admin.ImportedFactor{Factor: newApp("phone", file.secret, googleDigits, int(period))}
	used, err := p.googleUsed(file, int(period), skew, now)
	if err != nil {
		return err
	}
	if used > 0 || skew != 0 {
		f.Use = &ledger.Use{Step: used, Drift: int(skew), Resynced: int(skew)}
	}
	p.Factors = []admin.ImportedFactor{f}
	return nil
}

// googleUsed returns the last step whose code was used, 0 if none was.
//
// DISALLOW_REUSE lists them. Without it, and for the code that a TIME_SKEW was
// set with, which it does not list, there is RATE_LIMIT: it lists when somebody
// tried, and what was right then is used. With neither, nothing is known.
func (p *Person) googleUsed(file google, period int, skew int64, now time.Time) (used int64, err error) {
	ahead := skew + int64(p.Window.Steps)
	latest := stepOf(now, period) + ahead
	reuse, disallowed := file.options["DISALLOW_REUSE"]
	if disallowed {
		if used, err = reuse.last("DISALLOW_REUSE", 0, latest+maxSteps); err != nil {
			return 0, err
		}
		if skew == 0 {
			return used, nil
		}
	}
	if limit, limited := file.options["RATE_LIMIT"]; limited {
		tried, err := limit.last("RATE_LIMIT", 2, now.Unix()+maxSteps*int64(period))
		if err != nil || tried == 0 {
			return used, err
		}
		return max(used, tried/int64(period)+ahead), nil
	}
	p.remark("it does not say which codes were used: those until %s count as used", time.Unix((latest+1)*int64(period), 0).UTC().Format("15:04:05 MST"))
	return max(used, latest), nil
}

// number reads an option with one number, which may be left out.
func (g google) number(name string, without, least, most int64) (int64, error) {
	option, found := g.options[name]
	if !found {
		return without, nil
	}
	n, err := strconv.ParseInt(option.value, 10, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("line %d: %s: expected a number from %d to %d", option.line, name, least, most)
	}
	return n, nil
}

// last returns the greatest number of a list behind skip others, 0 if it is
// empty. One over most would be of the future.
func (o option) last(name string, skip int, most int64) (greatest int64, err error) {
	for i, word := range strings.Fields(o.value) {
		n, err := strconv.ParseInt(word, 10, 64)
		switch {
		case err != nil || n < 0:
			return 0, fmt.Errorf("line %d: %s: expected numbers", o.line, name)
		case i < skip:
		case n > most:
			return 0, fmt.Errorf("line %d: %s: %d has not come yet; look at this machine's clock", o.line, name, n)
		default:
			greatest = max(greatest, n)
		}
	}
	return greatest, nil
}
