package account

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/tomlfile"
)

// TestQuickTakesWhatIsWritten holds what quick is for: it must not give up what
// nearly all files are.
func TestQuickTakesWhatIsWritten(t *testing.T) {
	secret := Secret("0123456789abcdefghij")
	then := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	app := Factor{ID: "phone", Kind: TOTP, Secret: secret, Digits: 6, Period: 30, Algorithm: "SHA1", Confirmed: then}
	waiting := Factor{ID: "phone", Kind: TOTP, Secret: secret, Digits: 8, Period: 60, Algorithm: "SHA512"}
	token := Factor{ID: "token-1", Kind: HOTP, Secret: secret, Digits: 6, Algorithm: "SHA256", Counter: 123456789, Prefix: "ubhe00000001", Confirmed: then}
	hash := strings.Repeat("0a", 32)
	for name, person := range map[string]Person{
		"nothing":   {Enabled: true},
		"disabled":  {Factors: []Factor{app}},
		"app":       {Enabled: true, Factors: []Factor{app}},
		"replacing": {Enabled: true, Factors: []Factor{app, waiting}},
		"heading":   {Enabled: true, Factors: []Factor{token}, heading: "# phone bought in May\n# ask Bob\n"},
		"all": {
			Enabled: true, Protocols: []config.Protocol{"ssh", "sftp"}, Email: "alice@example.com", Phone: "+491511234567",
			Factors:  []Factor{app, token, {ID: "mail", Kind: Email, Confirmed: then}, {ID: "text", Kind: SMS}},
			Recovery: Recovery{User: "alicia", Hashes: []string{hash, ScratchPrefix + hash}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, path := openDir(t)
			person.Version, person.User = 1, "alice"
			if err := dir.Change("alice", func(p *Person) error { *p = person; return nil }); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path + "/alice.toml")
			if err != nil {
				t.Fatal(err)
			}
			if !sameIfTaken(t, data) {
				t.Errorf("given up:\n%s", data)
			}
			if again, err := Parse("alice.toml", "alice", data); err != nil || !reflect.DeepEqual(again, person) {
				t.Errorf("%v\ngot  %+v\nwant %+v", err, again, person)
			}
		})
	}
	if !sameIfTaken(t, []byte(byHand)) {
		t.Error("the documentation's example is given up")
	}
}

// sameIfTaken checks what quick makes of data, if anything, against Decode, and
// that it is still there when data is gone.
func sameIfTaken(t *testing.T, data []byte) (taken bool) {
	t.Helper()
	passing := bytes.Clone(data)
	got, taken := quick(passing)
	clear(passing)
	if !taken {
		if !reflect.DeepEqual(got, file{}) {
			t.Errorf("%q: given up with a result", data)
		}
		return false
	}
	var want file
	if err := tomlfile.Decode("alice.toml", data, &want); err != nil {
		t.Errorf("%q: taken, but %v", data, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%q:\ngot  %+v\nwant %+v", data, got, want)
	}
	return true
}

// What is kept for the next file holds nothing of the last one.
func TestQuickWipes(t *testing.T) {
	var d quickParser
	for _, text := range []string{byHand, asWritten, byHand[:200], "version = 1\nuser = 'alice'\nemail = 'alice", strings.Repeat("#", 5000)} {
		d.read([]byte(text))
		for _, kept := range [][]byte{d.copied[:cap(d.copied)], d.parser.Data()} {
			if len(kept) < len(text) || len(bytes.Trim(kept, "\x00")) > 0 {
				t.Errorf("%q is still there after %q", kept, text)
			}
		}
	}
}

// tricky are texts beside what is usual, and whether quick takes them. What
// Decode refuses it must not take.
var tricky = []struct {
	text  string
	taken bool
}{
	{"", true},
	{"# only a comment", true},
	{"version = 1\nuser = 'a'", true},
	{"version = 1\r\nuser = 'a' # b\r\n[recovery] # c\r\nhashes = [] # d\r\n", true},
	{" \tversion\t=\t1\t\n\n\n", true},
	{"\ufeffversion = 1\n", false},
	{"version = 1\ruser = 'a'\n", false},
	{"version = 1 user = 'a'\n", false},
	{"version = \n", false},
	{"version 1\n", false},
	{"= 1\n", false},
	{"\x00", false},
	{"user = 'a\x00'\n", false},
	{"user = '\xff'\n", false},
	{"user = \"\xc0\x80\"\n", false},
	{"# \xff\nversion = 1\n", false},
	{"user = 'é\U0001f511'\n", true},

	{"user = \"a\\\"\\u00e9\\U0001F511\\t\\e\\x41\"\n", false},
	{"user = 'CORP\\alice'\n", true},
	{"user = \"é\"\n", true},
	{"user = \"\\ud800\"\n", false},
	{"user = \"\\q\"\n", false},
	{"user = 'a\\n'\n", true},
	{"user = \"\"\"\na \\\n  b\nversion = 2\n\"\"\"\n", false},
	{"user = \"\"\"\na\nversion = 2\n\"\"\"\n", true},
	{"user = '''\nUser = 'a'\n[Factor]\n'''\n", true},
	{"user = '''a\n", false},
	{"user=\"\"\"\r\n\r\n\"\"\"", true},
	{"user=\"\"\"\"a\"\"b\"\"\"\"\"", true},
	{"user=\"\"\"a\"\"\"\"\"\"", false},
	{"user='\t'#\t", true},
	{"user = ''\n", true},
	{"user = 1\n", false},
	{"user = true\n", false},
	{"user = ['a']\n", false},
	{"user = {}\n", false},
	{"user = 2026-11-22\n", false},

	{"\"user\" = 'a'\n", true},
	{"'user' = 'a'\n", true},
	{"\"us\\u0065r\" = 'a'\n", false},
	{"\"\" = 'a'\n", false},
	{"User = 'a'\n", false},
	{"user = 'a'\nUser = 'b'\n", false},
	{"user = 'a'\n\"user\" = 'b'\n", false},
	{"\"\\u017fecret\" = 'a'\n", false},
	{"user.name = 'a'\n", false},
	{"recovery.hashes = []\n", false},
	{"recovery = { hashes = [] }\n", false},
	{"factor = []\n", false},
	{"factor = [{ id = 'a', kind = 'totp' }]\n", false},
	{"factor.kind = 'totp'\n", false},
	{"users = 'a'\n", false},
	{"id = 'a'\n", false},
	{"hashes = []\n", false},
	{"user = 'a'\nuser = 'a'\n", false},
	{"version = 0\nversion = 1\n", false},
	{"enabled = true\nenabled = true\n", false},
	{"protocols = ['ssh']\nprotocols = ['ssh']\n", false},
	{"email = ''\nemail = 'a@b'\n", false},
	{"phone = ''\nphone = ''\n", false},
	{"binding = 'a'\nuser = 'a'\n", true},
	{"binding = ''\nbinding = ''\n", false},
	{"binding = 1\n", false},

	{"version = 0\n", true},
	{"version = 01\n", false},
	{"version = +1\n", false},
	{"version = -1\n", false},
	{"version = -0\n", false},
	{"version = 1_0\n", false},
	{"version = 0x1\n", false},
	{"version = 0o1\n", false},
	{"version = 0b1\n", false},
	{"version = 1.0\n", false},
	{"version = 1e0\n", false},
	{"version = nan\n", false},
	{"version = inf\n", false},
	{"version = -inf\n", false},
	{"version = '1'\n", false},
	{"version = true\n", false},
	{"version = 999999999\n", true},
	{"version = 1000000000\n", false},
	{"version = 9223372036854775808\n", false},
	{"version = 18446744073709551617\n", false},
	{"enabled = false\n", true},
	{"enabled = 'true'\n", false},
	{"enabled = 1\n", false},
	{"enabled = True\n", false},
	{"enabled = truest\n", false},

	{"protocols = []\n", true},
	{"protocols = [\n  'ssh', # one\n\n  # two\n  \"sftp\",\n]\n", true},
	{"protocols = ['ssh' 'sftp']\n", false},
	{"protocols = [,]\n", false},
	{"protocols = ['ssh',,]\n", false},
	{"protocols = ['SSH']\n", false},
	{"protocols = ['']\n", false},
	{"protocols = ['ssh', 1]\n", false},
	{"protocols = [['ssh']]\n", false},
	{"protocols = [{}]\n", false},
	{"protocols = 'ssh'\n", false},
	{"protocols = ['ssh'\n", false},

	{"[factor]\nkind = 'totp'\n", false},
	{"[[factor]]\n", false},
	{"[[factor]]\nid = 'a'\n", false},
	{"[[factor]]\nkind = ''\n", false},
	{"[[factor]]\nkind = 'TOTP'\n", false},
	{"[[factor]]\nkind = 'totp'\nkind = 'totp'\n", false},
	{"[[factor]]\nkind = 'totp'\nuser = 'a'\n", false},
	{"[[factor]]\nkind = 'totp'\n[factor.x]\n", false},
	{"[[factor]]\nkind = 'totp'\n[[factor.x]]\n", false},
	{"[[factor]]\nkind = 'totp'\n[factor]\n", false},
	{"[[Factor]]\nkind = 'totp'\n", false},
	{"[[factor.x]]\nkind = 'totp'\n", false},
	{"[ [factor]]\nkind = 'totp'\n", false},
	{"[[ 'factor' ]]\nkind = 'totp'\n", true},
	{"[[factor]]\nkind = 'totp'\n[[factor]]\nkind = 'hotp'\n", true},
	{"[[factor]]\nkind = 'totp'\n[recovery]\n[[factor]]\nkind = 'sms'\ncounter = 1\n", true},
	{"[recovery]\nhashes = []\n[[factor]]\nkind = 'email'\n", true},
	{"[[factor]]\nkind = 'totp'\n[[factor]]\n", false},
	{"[[factor]]\nkind = 'totp'\nsecret = 'jbsw y3dp ehpk 3pxp'\n", true},
	{"[[factor]]\nkind = 'totp'\nsecret = \"JBSWY3DPEHPK3PXP====\"\n", true},
	{"[[factor]]#a\nkind = 'totp'\nsecret = \"22222222222222222\"\n", true},
	{"[[factor]]\nkind = 'totp'\nsecret = 'JBSWY3DPEHPK3PX1'\n", false},
	{"[[factor]]\nkind = 'totp'\nsecret = ''\n", false},
	{"[[factor]]\nkind = 'totp'\nsecret = 2345672345672345\n", false},
	{"[[factor]]\nkind = 'totp'\nsecret = [1, 2]\n", false},
	{"[[factor]]\nkind = 'totp'\nsecret = 'JBSWY3DPEHPK3PXP'\nsecret = 'JBSWY3DPEHPK3PXP'\n", false},
	{"[[factor]]\nkind = 'totp'\ndigits = 0\nperiod = 0\nalgorithm = ''\ncounter = 0\n", true},
	{"[[factor]]\nkind = 'totp'\ndigits = 6\ndigits = 6\n", false},
	{"[[factor]]\nkind = 'totp'\nperiod = 30\nperiod = 30\n", false},
	{"[[factor]]\nkind = 'totp'\nalgorithm = 'SHA1'\nalgorithm = 'SHA1'\n", false},
	{"[[factor]]\nkind = 'hotp'\ncounter = 0\ncounter = 1\n", false},
	{"[[factor]]\nkind = 'hotp'\ncounter = -1\n", false},
	{"[[factor]]\nkind = 'hotp'\ncounter = 1099511627776\n", false},
	{"[[factor]]\nid = ''\nid = ''\nkind = 'hotp'\n", false},

	{"[[factor]]\nkind = 'hotp'\nprefix = 'ubhe'\n", true},
	{"[[factor]]\nkind = 'hotp'\nprefix = ''\nprefix = ''\n", false},
	{"[[factor]]\nkind = 'hotp'\nprefix = 1\n", false},

	{"[recovery]\n", true},
	{"[recovery]\nhashes = ['a', \"b\", '''c''']\n", true},
	{"[recovery]\nhashes = [1]\n", false},
	{"[recovery]\nhashes = ['a']\nhashes = ['a']\n", false},
	{"[recovery]\nhash = []\n", false},
	{"[recovery]\nuser = 'a'\nhashes = []\n", true},
	{"[recovery]\nuser = 'a'\nuser = 'a'\n", false},
	{"[recovery]\nuser = []\n", false},
	{"[recovery]\nhashes.x = []\n", false},
	{"[recovery]\n[recovery]\n", false},
	{"[recovery]\n[recovery.x]\n", false},
	{"[[recovery]]\n", false},
	{"[recovery.x]\n", false},
	{"[Recovery]\n", false},
	{"[user]\n", false},
	{"[]\n", false},
	{"[recovery\n", false},
	{"[recovery] x\n", false},
}

// trickyTimes are those of a factor's confirmation.
var trickyTimes = []struct {
	text  string
	taken bool
}{
	{"2026-11-22T10:00:00Z", true},
	{"0000-01-01T00:00:00Z", true},
	{"0001-01-01T00:00:00Z", true},
	{"9999-12-31T23:59:59Z", true},
	{"2024-02-29T00:00:00Z", true},
	{"2026-02-29T00:00:00Z", false},
	{"2026-11-31T00:00:00Z", false},
	{"2026-00-01T00:00:00Z", false},
	{"2026-13-01T00:00:00Z", false},
	{"2026-11-00T00:00:00Z", false},
	{"2026-11-22T24:00:00Z", false},
	{"2026-11-22T10:60:00Z", false},
	{"2026-12-31T23:59:60Z", false},
	{"2026-11-22 10:00:00Z", false},
	{"2026-11-22t10:00:00Z", false},
	{"2026-11-22T10:00:00z", false},
	{"2026-11-22T10:00:00.5Z", false},
	{"2026-11-22T10:00:0.5Z", false},
	{"2026-11-22T1:00:00.5Z", false},
	{"2026-11-22T10:00Z", false},
	{"2026-11-22T10:00:00", false},
	{"2026-11-22T10:00:00+00:00", false},
	{"2026-11-22T10:00:00-01:00", false},
	{"2026-11-22T10:00+01:00Z", false},
	{"2026-11-22T10:00:00ZZ", false},
	{"2026-11-22", false},
	{"10:00:00", false},
	{"'2026-11-22T10:00:00Z'", false},
	{"2026-11-22T10:00:00Z\nconfirmed = 2026-11-22T10:00:00Z", false},
}

func TestQuickGivesUpInDoubt(t *testing.T) {
	for _, test := range tricky {
		if taken := sameIfTaken(t, []byte(test.text)); taken != test.taken {
			t.Errorf("%q: taken %v, want %v", test.text, taken, test.taken)
		}
	}
	for _, test := range trickyTimes {
		if taken := sameIfTaken(t, []byte(confirmedAt(test.text))); taken != test.taken {
			t.Errorf("%q: taken %v, want %v", test.text, taken, test.taken)
		}
	}
}

func confirmedAt(when string) string { return "[[factor]]\nkind = 'totp'\nconfirmed = " + when + "\n" }

// Whatever quick takes, Decode takes with the same result.
func FuzzQuick(f *testing.F) {
	f.Add([]byte(byHand))
	f.Add([]byte(asWritten))
	for _, test := range tricky {
		f.Add([]byte(test.text))
	}
	for _, test := range trickyTimes {
		f.Add([]byte(confirmedAt(test.text)))
	}
	f.Fuzz(func(t *testing.T, data []byte) { sameIfTaken(t, data) })
}

// lines are what a file may be made of, in any order and number.
var lines = strings.Split(`
version = 1
user = 'alice'
"user" = 'bob'
enabled = true
protocols = ['ssh']
protocols = []
email = "alice@example.com"
phone = '+491511234567' # a comment
[[factor]]
[[ "factor" ]]
[factor]
[[factor.x]]
factor = []
id = 'phone'
kind = 'totp'
kind = "hotp"
Kind = 'sms'
secret = 'JBSWY3DPEHPK3PXP'
secret = 'x'
digits = 6
period = 30
period = 0x1e
algorithm = 'SHA1'
counter = 7
counter = 1_0
confirmed = 2026-11-22T10:00:00Z
confirmed = 2026-11-22T10:00:00.5Z
[recovery]
[ recovery ]
['recovery']
[recovery.hashes]
[[recovery]]
recovery = {}
recovery.hashes = ['a']
hashes = ['a', 'b']
hashes = []
# a comment
user = '''
'''
]
secret = 'encrypted:9f31c0de:AAAA'
secret = "\u0065ncrypted:9f31c0de:\x41"
secret = "encrypted:9f31c0de:\u00e4"
secret = """
encrypted:"""
secret = ''
secret = []
secret = {}
secret.x = 1
[factor.secret]`, "\n")

// FuzzQuickLines is FuzzQuick with files whose lines are good and may be in the
// wrong place: each byte is one.
func FuzzQuickLines(f *testing.F) {
	f.Add([]byte{1, 2, 4, 5, 9, 14, 15, 18, 20, 21, 23, 26, 28, 35})
	f.Add([]byte{28, 36, 9, 16, 24, 10, 15})
	for n := range byte(len(lines)) {
		f.Add([]byte{1, 2, 9, 14, 15, n})
	}
	f.Fuzz(func(t *testing.T, picked []byte) {
		var text strings.Builder
		for _, n := range picked {
			text.WriteString(lines[int(n)%len(lines)] + "\n")
		}
		sameIfTaken(t, []byte(text.String()))
	})
}
