package tokenfile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
)

// Both servers read a line without quotes: a serial, the key in hexadecimal, the
// type, the digits, and one number more. That number is what they differ in:
// privacyIDEA's parseOATHcsv takes it for the counter of a token that counts, where
// LinOTP's has none, but a sixth column with the algorithm.

// CSVOptions say what the lines leave out.
type CSVOptions struct {
	// Algorithm is that of keys whose line does not say it, "" for what the length
	// of the key tells.
	Algorithm string
}

// csvLayout is how one of the servers writes its lines.
type csvLayout struct {
	counts, algorithms bool // has a counter; has an algorithm
	// byLength says that the server tells the algorithm by the length of the key.
	byLength bool
}

// PrivacyIDEA reads a token list in privacyIDEA's format “OATH CSV”. In its version 2
// three columns with the user stand in front.
func PrivacyIDEA(data []byte, options CSVOptions) ([]Token, error) {
	return csvLayout{counts: true}.read(data, options)
}

// LinOTP reads a token list in LinOTP's format “OATH CSV”.
func LinOTP(data []byte, options CSVOptions) ([]Token, error) {
	return csvLayout{algorithms: true, byLength: true}.read(data, options)
}

// version is what the first line of a privacyIDEA list may say.
var version = regexp.MustCompile(`^#\s*version:\s*([0-9]+)\s*$`)

func (l csvLayout) read(data []byte, options CSVOptions) ([]Token, error) {
	if err := expect(data, TokenCSV); err != nil {
		return nil, err
	}
	var tokens []Token
	serials := map[string]int{}
	withUser, number := false, 0
	for line := range strings.Lines(string(text(data))) {
		number++
		line = strings.TrimSpace(line)
		if said := version.FindStringSubmatch(line); number == 1 && said != nil && l.counts {
			if withUser = said[1] == "2"; !withUser && said[1] != "1" {
				return nil, errors.New("line 1: it is of a version that is not known here: expected version 1 or 2")
			}
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(tokens) == maxTokens {
			return nil, errTooMany
		}
		t := Token{Number: len(tokens) + 1, Line: number}
		t.Err = t.csvLine(line, l, withUser, options)
		if first, twice := serials[t.Serial]; twice && t.Err == nil {
			t.Err = fmt.Errorf("the serial is that of line %d too", first)
		}
		if serials[t.Serial] == 0 {
			serials[t.Serial] = number
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// The columns behind those of the user.
const (
	csvSerial = iota
	csvKey
	csvType
	csvDigits
	csvMoving
	csvAlgorithm
	csvColumns
)

func (t *Token) csvLine(line string, l csvLayout, withUser bool, options CSVOptions) error {
	if len(line) > maxLine || strings.Contains(line, `"`) {
		return errors.New("expected a line of 8 KiB at most, without quotes")
	}
	cells := strings.Split(line, ",")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	if withUser {
		if len(cells) < 5 {
			return errors.New("expected user, resolver and realm, and behind them serial and key")
		}
		t.Account, cells = cells[0], cells[3:]
	}
	for len(cells) > csvColumns && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	if len(cells) < 2 || len(cells) > csvColumns {
		return errors.New("expected serial, key, type, digits and what belongs to the type, with commas between them")
	}
	for len(cells) < csvColumns {
		cells = append(cells, "")
	}
	if IsKeyLike(cells[csvSerial]) || cells[csvSerial] == "" {
		return errors.New("the serial: expected the number of the device, which is no key")
	}
	t.Serial = cells[csvSerial]
	return t.csvCells(cells, l, options)
}

func (t *Token) csvCells(cells []string, l csvLayout, options CSVOptions) error {
	kind := cells[csvType]
	if kind == "" || strings.EqualFold(kind, "hmac") {
		kind = "hotp" // the default of both, and LinOTP's own name for it
	}
	if err := t.setKind(kind); err != nil {
		return err
	}
	if err := t.setHex(cells[csvKey]); err != nil {
		return err
	}
	if err := t.csvAlgorithm(cells[csvAlgorithm], l, options); err != nil {
		return err
	}
	var err error
	f := &t.Factor
	f.Digits = 6
	if cells[csvDigits] != "" {
		if f.Digits, err = smallNumber("the digits", cells[csvDigits]); err != nil {
			return err
		}
	}
	moving := cells[csvMoving]
	switch {
	case f.Kind == account.TOTP && moving == "":
		f.Period = 30
	case f.Kind == account.TOTP:
		f.Period, err = smallNumber("the period", moving)
	case moving != "" && !l.counts:
		_, err = number("the fifth column", moving) // LinOTP does not look at it
	case moving != "":
		f.Counter, err = number("the counter", moving)
	}
	if err != nil {
		return err
	}
	return t.check()
}

// csvAlgorithm finds the algorithm out.
func (t *Token) csvAlgorithm(cell string, l csvLayout, options CSVOptions) error {
	length := len(t.Factor.Secret)
	switch {
	case cell != "" && !l.algorithms:
		return errors.New("expected five columns behind the user's at most")
	case cell != "":
		return t.setAlgorithm(cell)
	case options.Algorithm != "":
		return t.setAlgorithm(options.Algorithm)
	case length != 32 && length != 64:
		return t.setAlgorithm("SHA1")
	case !l.byLength:
		return errors.New("its key is as long as those of SHA256 and SHA512 are: say which with --algorithm")
	case length == 32:
		return t.setAlgorithm("SHA256")
	}
	return t.setAlgorithm("SHA512")
}
