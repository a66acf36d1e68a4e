package transport

import (
	"encoding/json"
	"fmt"
	"html"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
)

// escape makes a value stand for itself where it is put. It refuses a value
// that cannot.
type escape func(value string) (string, error)

// escapers are for bodies.
var escapers = map[config.BodyKind]escape{
	config.FormBody: percent, config.JSONBody: jsonText, config.XMLBody: xmlText, config.TextBody: line,
}

// percent is for a path, a query and a form alike: all but RFC 3986's
// unreserved characters is encoded, the space too.
func percent(value string) (string, error) {
	var escaped strings.Builder
	for i := range len(value) {
		c := value[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			escaped.WriteByte(c)
		} else {
			fmt.Fprintf(&escaped, "%%%02X", c)
		}
	}
	return escaped.String(), nil
}

// jsonText is for the inside of a text of RFC 8259.
func jsonText(value string) (string, error) {
	quoted, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	return string(quoted[1 : len(quoted)-1]), nil
}

// xmlText is for text and for the values of attributes, in either quotes. XML
// 1.0 has no way to write control characters.
func xmlText(value string) (string, error) {
	if value, err := line(value); err != nil {
		return value, err
	}
	return html.EscapeString(value), nil
}

// line is for a header, and for plain text.
func line(value string) (string, error) {
	if strings.ContainsFunc(value, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == 0xfffd || r >= 0x80 && r < 0xa0 || r&^1 == 0xfffe
	}) {
		return "", fmt.Errorf("expected a value without control characters")
	}
	return value, nil
}

// headerLine is line for a value that HTTP carries as it is: ASCII alone.
func headerLine(value string) (string, error) {
	if strings.ContainsFunc(value, func(r rune) bool { return r > '~' }) {
		return "", fmt.Errorf("expected a value of ASCII, as a header has it")
	}
	return line(value)
}
