package tokenfile

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otpgate/otpgate/internal/account"
)

// The app Google Authenticator shows its export as QR codes. Each is a URI with a
// message of protocol buffers in base64. The app publishes no description; the fields
// and numbers below are those that its exports have. What they leave out has the value
// that all apps assume.

const migrationScheme = "otpauth-migration://"

// part is one QR code of an export: which one, of how many, of which export.
type part struct {
	index, size, export uint64
	devices             [][]byte
}

var errMigration = errors.New("expected a URI as in the QR codes of the app's export: otpauth-migration://offline?data=…")

// GoogleApp reads what the QR codes of an export of the app Google Authenticator say,
// one a line, in any order. Lines that begin with # are left out.
func GoogleApp(data []byte) ([]Token, error) {
	if err := expect(data, GoogleMigration); err != nil {
		return nil, err
	}
	var parts []part
	line := 0
	for written := range strings.Lines(string(text(data))) {
		line++
		if written = strings.TrimSpace(written); written == "" || strings.HasPrefix(written, "#") {
			continue
		}
		p, err := migrationPart(written)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		again := func(other part) bool { return other.export == p.export && other.index == p.index }
		if at := slices.IndexFunc(parts, again); at < 0 {
			parts = append(parts, p)
		} else if !slices.EqualFunc(parts[at].devices, p.devices, bytes.Equal) {
			return nil, fmt.Errorf("line %d: it is QR code %d of %d of an export, of which another line says something else", line, p.index+1, p.size)
		}
	}
	if err := complete(parts); err != nil {
		return nil, err
	}
	var tokens []Token
	for _, p := range parts {
		if len(tokens)+len(p.devices) > maxTokens {
			return nil, errTooMany
		}
		for _, device := range p.devices {
			t := Token{Number: len(tokens) + 1}
			t.Err = t.googleApp(device)
			tokens = append(tokens, t)
		}
	}
	return tokens, nil
}

// complete says whether all QR codes of each export are there: whoever overlooks one
// would leave people out without a word.
func complete(parts []part) error {
	type code struct{ export, index uint64 }
	there := map[code]bool{}
	for _, p := range parts {
		there[code{p.export, p.index}] = true
	}
	for _, p := range parts {
		for index := range p.size {
			if !there[code{p.export, index}] {
				return fmt.Errorf("QR code %d of %d of an export is missing: add what it says, on a line of its own", index+1, p.size)
			}
		}
	}
	return nil
}

// maxParts is more QR codes than anybody scans: each has some ten devices.
const maxParts = 1000

func migrationPart(written string) (part, error) {
	// A QR code has less than 3 KiB.
	if !strings.HasPrefix(written, migrationScheme) || len(written) > maxLine {
		return part{}, errMigration
	}
	u, err := url.Parse(written)
	if err != nil || u.Host != "offline" || u.Fragment != "" {
		return part{}, errMigration
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(query) != 1 || len(query["data"]) != 1 {
		return part{}, errMigration
	}
	// A scanner that has decoded the URI leaves a + where %2B was.
	message, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(query.Get("data"), " ", "+"))
	if err != nil {
		return part{}, errMigration
	}
	fields, err := messageFields(message, 5)
	if err != nil {
		return part{}, errMigration
	}
	p := part{size: 1}
	for _, f := range fields {
		switch f.number {
		case 1:
			p.devices = append(p.devices, f.bytes)
		case 2:
			if f.value < 1 || f.value > 2 {
				return part{}, errors.New("it is of a version that is not known here: expected 1 or 2")
			}
		case 3:
			p.size = f.value
		case 4:
			p.index = f.value
		case 5:
			p.export = f.value
		}
	}
	if p.size = max(p.size, 1); p.size > maxParts || p.index >= p.size {
		return part{}, errMigration
	}
	return p, nil
}

// field is one of a message: bytes or a number.
type field struct {
	number protowire.Number
	value  uint64
	bytes  []byte
	plain  bool
}

// messageFields takes a message apart, whose fields have numbers up to last. Of any
// other field nobody here knows whether it changes the codes.
func messageFields(message []byte, last protowire.Number) (fields []field, err error) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 || number > last {
			return nil, errShape
		}
		message = message[n:]
		f := field{number: number}
		switch kind {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(message)
			f.plain = true
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(message)
		default:
			return nil, errShape
		}
		if n < 0 {
			return nil, errShape
		}
		message = message[n:]
		fields = append(fields, f)
	}
	return fields, nil
}

// The numbers that the app has for what a device may be.
var (
	googleKinds      = map[uint64]string{1: "hotp", 2: "totp"}
	googleAlgorithms = map[uint64]string{0: "SHA1", 1: "SHA1", 2: "SHA256", 3: "SHA512"}
	googleDigits     = map[uint64]int{0: 6, 1: 6, 2: 8}
)

// googleApp reads one device: 1 the key, 2 the account, 3 the issuer, 4 the algorithm,
// 5 the digits, 6 the type, 7 the counter, 8 an id of the app's own.
func (t *Token) googleApp(message []byte) error {
	fields, err := messageFields(message, 8)
	if err != nil {
		return err
	}
	var texts [9][]byte
	var numbers [9]uint64
	for _, f := range fields {
		if named := f.number <= 3 || f.number == 8; named == f.plain {
			return errShape
		}
		if !utf8.Valid(f.bytes) && f.number != 1 {
			return errNoText
		}
		texts[f.number], numbers[f.number] = f.bytes, f.value
	}
	t.setLabel(string(texts[2]))
	if issuer := strings.TrimSpace(string(texts[3])); issuer != "" {
		t.Issuer = issuer
	}
	if numbers[7] > 1<<62 {
		return errors.New("the counter: expected a whole number")
	}
	counter, period := int64(numbers[7]), 30
	return t.app(googleKinds[numbers[6]], account.Secret(texts[1]).Base32(), googleAlgorithms[numbers[4]], googleDigits[numbers[5]], &period, &counter)
}
