package tokenfile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
)

// RFC 6030 has the format; that of keys for codes by time is in
// draft-hoyer-keyprov-pskc-algorithm-profiles, section 4, and in the registry of
// IANA's for PSKC algorithm profiles.

const pskcSpace = "urn:ietf:params:xml:ns:keyprov:pskc"

// ErrDevicePIN is wrapped by the error for a device whose server asks for a PIN
// beside the code.
var ErrDevicePIN = errors.New("it has a PIN, and otpgate asks for none: whoever has the device would not need it any more")

// PSKCOptions say how a container is read.
type PSKCOptions struct {
	// Key and Passphrase open an encrypted one.
	Key, Passphrase []byte
	// WithoutPINs takes devices that have a PIN beside the code, and drops it.
	WithoutPINs bool
	// Now is when the container is read: keys may have an end.
	Now time.Time
}

// PSKC reads a key container of RFC 6030, also an encrypted one.
func PSKC(data []byte, options PSKCOptions) ([]Token, error) {
	if err := expect(data, Container); err != nil {
		return nil, err
	}
	root, err := parseXML(data)
	if err != nil {
		return nil, err
	}
	if root.name.Space != pskcSpace || root.attrs["Version"] != "1.0" {
		return nil, errors.New("expected a KeyContainer of RFC 6030, version 1.0, in the namespace " + pskcSpace)
	}
	opener, err := newOpener(root, options)
	if err != nil {
		return nil, err
	}
	var tokens []Token
	packs := root.all("KeyPackage")
	if len(packs) > maxTokens {
		return nil, errTooMany
	}
	for _, pack := range packs {
		t := Token{Number: len(tokens) + 1}
		t.Err = t.pack(pack, opener, options)
		tokens = append(tokens, t)
	}
	if len(root.all("Signature")) > 0 && len(tokens) > 0 {
		tokens[0].remark("the container's signature is not looked at")
	}
	return tokens, nil
}

func (t *Token) remark(format string, values ...any) {
	t.Remarks = append(t.Remarks, fmt.Sprintf(format, values...))
}

// pack reads one KeyPackage.
func (t *Token) pack(pack *element, opener *opener, options PSKCOptions) error {
	serial, err := pack.at("DeviceInfo", "SerialNo")
	if err != nil {
		return err
	}
	key, err := pack.one("Key")
	if err != nil {
		return err
	}
	if key == nil {
		return errors.New("it has no Key")
	}
	t.Serial, t.ID = serial.value(), key.attrs["Id"]
	if err := t.whose(pack, key); err != nil {
		return err
	}
	if err := t.profile(key); err != nil {
		return err
	}
	if err := t.policy(key, options); err != nil {
		return err
	}
	if err := t.response(key); err != nil {
		return err
	}
	if err := t.data(key, opener); err != nil {
		return err
	}
	return t.check()
}

// whose reads who has the device: a UserId is a distinguished name (section 4.2),
// of which the part uid is a login name.
func (t *Token) whose(pack, key *element) error {
	issuer, err := key.one("Issuer")
	if err != nil {
		return err
	}
	t.Issuer = issuer.value()
	user, err := key.one("UserId")
	if err == nil && user == nil {
		user, err = pack.at("DeviceInfo", "UserId")
	}
	for part := range strings.SplitSeq(user.value(), ",") {
		name, value, isPart := strings.Cut(strings.TrimSpace(part), "=")
		if isPart && strings.EqualFold(name, "uid") {
			t.Account = value
		}
	}
	return err
}

// profile reads what kind of device it is.
func (t *Token) profile(key *element) error {
	name := key.attrs["Algorithm"]
	switch at := max(strings.LastIndexByte(name, ':'), strings.LastIndexByte(name, '#')); strings.ToLower(name[at+1:]) {
	case "hotp":
		t.Factor.Kind = account.HOTP
	case "totp":
		t.Factor.Kind = account.TOTP
	default:
		return errors.New("its Algorithm: expected the profile hotp or totp")
	}
	t.Factor.Algorithm = "SHA1"
	suite, err := key.at("AlgorithmParameters", "Suite")
	if err != nil || suite == nil {
		return err
	}
	bare := strings.ReplaceAll(strings.ToUpper(suite.value()), "-", "")
	return t.setAlgorithm(strings.TrimPrefix(bare, "HMAC"))
}

// response reads the form of the codes.
func (t *Token) response(key *element) error {
	format, err := key.at("AlgorithmParameters", "ResponseFormat")
	switch {
	case err != nil:
		return err
	case format == nil:
		return errors.New("it has no ResponseFormat, which says how many digits a code has")
	case format.attrs["Encoding"] != "DECIMAL":
		return errors.New("its codes: expected the encoding DECIMAL, of 6 to 8 digits")
	case format.attrs["CheckDigits"] != "" && format.attrs["CheckDigits"] != "false" && format.attrs["CheckDigits"] != "0":
		return errors.New("its codes have a digit that checks the others, which is not supported")
	}
	t.Factor.Digits, err = smallNumber("the Length of its codes", format.attrs["Length"])
	return err
}

// policy holds to section 5: a key whose policy is not understood is not used.
func (t *Token) policy(key *element, options PSKCOptions) error {
	policy, err := key.one("Policy")
	if err != nil || policy == nil {
		return err
	}
	usable := len(policy.all("KeyUsage")) == 0
	for _, rule := range policy.children {
		switch rule.name.Local {
		case "KeyUsage":
			usable = usable || rule.value() == "OTP"
		case "StartDate", "ExpiryDate":
			if err := t.span(rule, options.Now); err != nil {
				return err
			}
		case "PINPolicy":
			// A PIN that the device itself asks for goes on protecting it.
			switch local := rule.attrs["PINUsageMode"] == "Local"; {
			case local:
			case !options.WithoutPINs:
				return ErrDevicePIN
			default:
				t.remark("its PIN is not asked for any more")
			}
		default:
			return errors.New("its Policy has a rule that is not held here: expected KeyUsage, StartDate, ExpiryDate and PINPolicy")
		}
	}
	if !usable {
		return errors.New("its Policy has no KeyUsage OTP")
	}
	return nil
}

func (t *Token) span(rule *element, now time.Time) error {
	at, err := time.Parse(time.RFC3339, rule.value())
	if err != nil {
		at, err = time.Parse("2006-01-02T15:04:05", rule.value())
	}
	switch end := rule.name.Local == "ExpiryDate"; {
	case err != nil:
		return errors.New("the dates of its Policy: expected such as 2026-11-22T10:00:00Z")
	case end && now.After(at):
		return errors.New("its Policy says that it has expired")
	case !end && now.Before(at):
		return errors.New("its Policy says that it is not used yet")
	case end:
		t.remark("its Policy ends on %s, which is not held here", at.UTC().Format(time.DateOnly))
	}
	return nil
}

// data reads the key and where the device has got to.
func (t *Token) data(key *element, opener *opener) error {
	data, err := key.one("Data")
	if err != nil {
		return err
	}
	secret, err := data.one("Secret")
	if err != nil {
		return err
	}
	if secret == nil {
		return errors.New("its key is not in the container")
	}
	bytes, err := opener.secret(secret)
	if err != nil {
		return err
	}
	if err := t.setBytes(bytes); err != nil {
		return err
	}
	f := &t.Factor
	if f.Kind == account.HOTP {
		f.Counter, err = plainNumber(data, "Counter")
		return err
	}
	period, err := plainNumber(data, "TimeInterval")
	if err != nil {
		return err
	}
	f.Period = int(min(period, 1_000_000))
	if len(data.all("TimeDrift")) == 0 {
		return nil
	}
	return t.drift(data)
}

// maxDrift is how many steps a device may be off: half a day of half minutes.
const maxDrift = 1440

func (t *Token) drift(data *element) error {
	plain, err := data.at("TimeDrift", "PlainValue")
	if err != nil {
		return err
	}
	digits, behind := strings.CutPrefix(plain.value(), "-")
	steps, err := smallNumber("its TimeDrift", digits)
	if err != nil || steps > maxDrift {
		return fmt.Errorf("its TimeDrift: expected a whole number of steps, %d at most", maxDrift)
	}
	if t.Drift = steps; behind {
		t.Drift = -steps
	}
	return nil
}

// plainNumber reads a number that is not encrypted, as it is no secret. In which
// form programs encrypt one differs.
func plainNumber(data *element, name string) (int64, error) {
	holder, err := data.one(name)
	if err != nil {
		return 0, err
	}
	if holder == nil {
		return 0, errors.New("it has no " + name)
	}
	plain, err := holder.one("PlainValue")
	if err != nil {
		return 0, err
	}
	if plain == nil {
		return 0, errors.New("its " + name + ": expected a PlainValue; an encrypted one is not read")
	}
	return number("its "+name, plain.value())
}

// decode64 reads base64 with white space anywhere in it.
func decode64(written string) ([]byte, error) {
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(written), ""))
	if err != nil {
		return nil, errors.New("expected base64")
	}
	return decoded, nil
}
