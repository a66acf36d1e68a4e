package authkeys

import (
	"encoding/base64"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	key  = append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), make([]byte, 32)...)
	line = "ssh-ed25519 " + base64.StdEncoding.EncodeToString(key) + " a comment"
)

// findTests are options of a key's line, and whether the line lets in from
// 192.0.2.7 on 22 November 2026 at 10:00 UTC.
var findTests = []struct {
	options string
	want    bool
}{
	{"", true},
	{"restrict ", true},
	{"RESTRICT,No-PTY ", true},
	{`from="192.0.2.0/24" `, true},
	{`from="192.0.2.7",restrict	`, true},
	{`from="10.0.0.0/8" `, false},
	{`from="10.0.0.0/8,192.0.2.*" `, true},
	{`from="192.0.2.?,!192.0.2.7" `, false},
	{`from="!10.0.0.1" `, false},
	{`from="trusted.example.com" `, false},
	{`from="*.example.com,192.0.2.7" `, true},
	{`from="192.0.2.7/24" `, false},
	{`from="192.0.2.7`, false},
	{`from= `, false},
	{`from `, false},
	{`from=192.0.2.7 `, false},
	{`from="*" `, true},
	{`from="::ffff:192.0.2.7" `, true},
	{`expiry-time="20261123" `, true},
	{`expiry-time="202611221000Z" `, false},
	{`expiry-time="202611221001Z" `, true},
	{`expiry-time="20261122095959Z" `, false},
	{`expiry-time="soon" `, false},
	{`expiry-time="20270101",from="10.0.0.1" `, false},
	{`no-such-option `, false},
	{`restrict,no-such-option="x" `, false},
	{`command="/bin/true" `, false},
	{`command="internal-sftp" `, true},
	{`command="echo \"a b\"",restrict `, false},
	{`environment="A=\"b c\"" `, true},
	{`cert-authority `, false},
	{`restrict, `, false},
	{`,restrict `, false},
	{`# `, false},
	{`restrict  `, true},
}

func TestFind(t *testing.T) {
	login := Login{Key: key, Remote: netip.MustParseAddr("192.0.2.7"), Now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	for _, test := range findTests {
		_, got := Find([]byte("# head\n\n"+test.options+line+"\n"), login)
		if got != test.want {
			t.Errorf("%q: expected %v, found %v", test.options, test.want, got)
		}
	}
	other := login
	other.Key = append([]byte(nil), key...)
	other.Key[len(key)-1] = 1
	if _, found := Find([]byte(line), other); found {
		t.Error("another key is let in")
	}
	if _, found := Find([]byte(strings.Replace(line, "ssh-ed25519", "ssh-rsa", 1)), login); found {
		t.Error("a line whose type is not its key's lets in")
	}
	// A line that refuses does not hide the next one of the same key.
	if _, found := Find([]byte("no-such "+line+"\n"+line), login); !found {
		t.Error("expected that the second line lets in")
	}
	if _, found := Find([]byte(`principals="alice" `+line), login); found {
		t.Error("a plain key with principals is let in")
	}
}

// An authority's line counts for certificates alone, and for nobody whom
// neither it nor the certificate names.
func TestFindAuthority(t *testing.T) {
	for _, test := range []struct {
		options    string
		principals []string
		want       bool
	}{
		{"cert-authority ", []string{"bob", "alice"}, true},
		{"cert-authority ", []string{"bob"}, false},
		{"cert-authority ", []string{"Alice"}, false},
		{"cert-authority ", []string{"alic?", "*"}, false},
		{"cert-authority ", nil, false},
		{"cert-authority ", []string{""}, false},
		{"", []string{"alice"}, false},
		{`principals="alice" `, []string{"alice"}, false},
		{`cert-authority,principals="ops,dev" `, []string{"dev"}, true},
		{`cert-authority,principals="ops,dev" `, []string{"alice"}, false},
		{`cert-authority,principals="ops,dev" `, []string{"ops,dev"}, false},
		{`cert-authority,principals="" `, []string{""}, false},
		{`cert-authority,principals="" `, []string{"alice"}, false},
		{`cert-authority,from="192.0.2.0/24" `, []string{"alice"}, true},
		{`cert-authority,from="10.0.0.0/8" `, []string{"alice"}, false},
		{`cert-authority,expiry-time="20200101" `, []string{"alice"}, false},
		{`cert-authority,command="/bin/true" `, []string{"alice"}, false},
	} {
		login := Login{Key: key, Remote: netip.MustParseAddr("192.0.2.7"), Now: time.Unix(1795341600, 0), Authority: true, User: "alice", Principals: test.principals}
		if _, got := Find([]byte(test.options+line), login); got != test.want {
			t.Errorf("%q for %q: expected %v, found %v", test.options, test.principals, test.want, got)
		}
	}
}

func TestInNetworks(t *testing.T) {
	remote := netip.MustParseAddr("::ffff:192.0.2.7")
	for list, want := range map[string]bool{
		"192.0.2.7": true, "10.0.0.0/8,192.0.2.0/24": true, "10.0.0.0/8": false, "": false, "192.0.2.7,": false, "192.0.2.7, 10.0.0.1": false,
		"192.0.2.*": false, "192.0.2.7,!10.0.0.1": false, "192.0.2.7/24": false, "host.example.com,192.0.2.7": false, "::ffff:192.0.2.7": true, "0.0.0.0/0": true, "::/0": false,
	} {
		if got := InNetworks(list, remote); got != want {
			t.Errorf("%q: expected %v, found %v", list, want, got)
		}
	}
	if InNetworks("0.0.0.0/0", netip.Addr{}) {
		t.Error("no address is in a network")
	}
}

func TestOpenRefuses(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, ".ssh")
	path := filepath.Join(dir, "authorized_keys")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	expect := func(what string, want bool) {
		t.Helper()
		if _, err := Open(path, home, uint32(os.Getuid())); (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	chmod := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	expect("as it should be", true)
	for _, test := range []struct {
		path     string
		bad, was os.FileMode
	}{{path, 0o620, 0o600}, {path, 0o602, 0o600}, {dir, 0o770, 0o700}, {home, 0o777, 0o755}} {
		chmod(test.path, test.bad)
		expect(test.path, false)
		chmod(test.path, test.was)
	}
	if err := os.Chown(dir, 1, 1); err != nil {
		t.Fatal(err)
	}
	expect("somebody else's directory", false)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	expect("nothing there", false)
}

func FuzzFind(f *testing.F) {
	f.Add(`from="192.0.2.7",restrict ` + line)
	f.Add(`command="a \" b",expiry-time="20270101Z" ` + line)
	f.Fuzz(func(t *testing.T, text string) {
		login := Login{Key: key, Remote: netip.MustParseAddr("192.0.2.7"), Now: time.Unix(1e9, 0)}
		if _, found := Find([]byte(text), login); found && !strings.Contains(text, "ssh-ed25519") {
			t.Errorf("%q lets in a key that it does not name", text)
		}
	})
}
