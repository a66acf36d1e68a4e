package admission

import (
	"net/netip"
	"strings"
	"testing"
)

func TestReadProxy(t *testing.T) {
	proxy := netip.MustParseAddr("10.0.0.1")
	v2 := string(proxySignature)
	for _, test := range []struct{ sent, want string }{
		{"PROXY TCP4 192.0.2.7 10.0.0.1 1234 22\r\n", "192.0.2.7"},
		{"PROXY TCP6 2001:db8::7 2001:db8::1 1234 22\r\n", "2001:db8::7"},
		{"PROXY UNKNOWN\r\n", "10.0.0.1"},
		{"PROXY UNKNOWN ffff:f... 1 2 3 4\r\n", "10.0.0.1"},
		{v2 + "\x21\x11\x00\x0c\xc0\x00\x02\x07\x0a\x00\x00\x01\x04\xd2\x00\x16", "192.0.2.7"},
		{v2 + "\x21\x11\x00\x0e\xc0\x00\x02\x07\x0a\x00\x00\x01\x04\xd2\x00\x16ab", "192.0.2.7"},
		{v2 + "\x20\x00\x00\x00", "10.0.0.1"},
		{v2 + "\x21\x21\x00\x24" + strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x07" + strings.Repeat("\x00", 20), "192.0.2.7"},
		{"PROXY TCP4 localhost 10.0.0.1 1234 22\r\n", ""},
		{"PROXY TCP4 2001:db8::7 10.0.0.1 1234 22\r\n", ""},
		{"PROXY TCP6 fe80::1%eth0 ::1 1234 22\r\n", ""},
		{"PROXY TCP4 192.0.2.7\r\n", ""},
		{"PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n", ""},
		{"SSH-2.0-OpenSSH_9.2\r\n", ""},
		{"", ""},
		{"PROXY ", ""},
		{v2 + "\x21\x11\x00\x04\x01\x02\x03\x04", ""},
		{v2 + "\x31\x11\x00\x00", ""},
		{v2 + "\x2f\x11\x00\x00", ""},
		{v2 + "\x21\x11\xff\xff", ""},
		{v2 + "\x21\x31\x00\x0c" + strings.Repeat("\x00", 12), ""},
	} {
		// What follows the header is the client's.
		r := strings.NewReader(test.sent + "SSH-")
		got, err := readProxy(r, proxy)
		if (err == nil) != (test.want != "") || err == nil && (got.String() != test.want || r.Len() != 4) {
			t.Errorf("%q: found %v, %v, %d bytes left", test.sent, got, err, r.Len())
		}
	}
}

func FuzzReadProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 10.0.0.1 1234 22\r\n"))
	f.Add(append(append([]byte(nil), proxySignature...), 0x21, 0x11, 0, 12))
	f.Fuzz(func(t *testing.T, sent []byte) {
		if got, err := readProxy(strings.NewReader(string(sent)), netip.MustParseAddr("10.0.0.1")); err == nil && !got.IsValid() {
			t.Errorf("%q: no address", sent)
		}
	})
}
