package deliver

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var message = Message{
	Channel: SMS, User: "alice", Service: "sshd", Remote: "192.0.2.1", Host: "web1",
	Email: "alice@example.com", Phone: "+491511234567", Code: "471147", Expires: time.Unix(1795341600, 0).UTC(),
}

// Only JSON, for the program that sends it, has the code, and the link.
func TestPrintedMessageHasNoCode(t *testing.T) {
	message := message
	message.Link = "https://otp.example.com/l/abcdefgh"
	in := struct {
		M Message
		P *Message
		L []Message
	}{message, &message, []Message{message}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		text := fmt.Sprintf(verb+verb+verb, in, Request{Message: message}, message)
		for _, secret := range []string{message.Code, fmt.Sprintf("%x", message.Code), message.Email, message.Phone, "abcdefgh"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s: %s", verb, secret, text)
			}
		}
	}
	data, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var again Message
	if err := json.Unmarshal(data, &again); err != nil || again != message {
		t.Errorf("%v: %s", err, data)
	}
}

func TestMask(t *testing.T) {
	for _, test := range []struct{ from, want string }{
		{"alice@example.com", "a…e@example.com"},
		{"anna@example.com", "a…a@example.com"},
		{"bob@example.com", "b…@example.com"},
		{"al@example.com", "a…@example.com"},
		{"x@example.com", "…@example.com"},
		{"\"a@b\"@example.com", "\"…\"@example.com"},
		{"élodieé@example.com", "é…é@example.com"},
		{"", "nowhere"},
		{"nonsense", "…"},
		{"a\nlongname\x1b@exa\x1b[2Jmple.com", "a…?@exa?[2Jmple.com"},
	} {
		local, _, address := strings.Cut(test.from, "@example.com")
		if want, _, _ := strings.Cut(test.want, "@"); address && local != "\"a@b\"" && MaskName(local) != want {
			t.Errorf("%q: expected %s, found %s", local, want, MaskName(local))
		}
		if got := MaskEmail(test.from); got != test.want {
			t.Errorf("%q: expected %s, found %s", test.from, test.want, got)
		}
	}
	for _, test := range []struct{ from, want string }{
		{"+491511234567", "+49…567"},
		{"+15005550006", "+15…006"},
		{"+12345678", "+12…678"},
		{"+1234567", "…67"},
		{"12345", "…5"},
		{"112", "…"},
		{"", "nowhere"},
	} {
		if got := MaskPhone(test.from); got != test.want {
			t.Errorf("%q: expected %s, found %s", test.from, test.want, got)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("alice@example.com")
	f.Add("+491511234567")
	f.Fuzz(func(t *testing.T, text string) {
		for _, masked := range []string{MaskEmail(text), MaskPhone(text)} {
			if text != hidden && masked == text || !utf8.ValidString(masked) || Clean(masked, 1000) != masked {
				t.Errorf("%q became %q", text, masked)
			}
		}
	})
}

func TestClean(t *testing.T) {
	for _, test := range []struct {
		from string
		most int
		want string
	}{
		{"plain äöü", 9, "plain äöü"},
		{"a\r\nb\tc\x00\x1b[31m\u202e\x7f\xff", 100, "a  b c??[31m???"},
		{"1234567890123", 10, "1234567890…"},
		{"äöü", 2, "äö…"},
		{"x", 0, "…"},
		{"", 0, ""},
	} {
		if got := Clean(test.from, test.most); got != test.want {
			t.Errorf("%q: expected %q, found %q", test.from, test.want, got)
		}
	}
}
