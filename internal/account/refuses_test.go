package account

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLoadNamesFileLineAndKey(t *testing.T) {
	dir, path := openDir(t)
	edit := func(old, new string) string {
		if !strings.Contains(byHand, old) {
			t.Fatalf("no %q in the example", old)
		}
		return strings.Replace(byHand, old, new, 1)
	}
	for _, test := range []struct{ name, text, want string }{
		{"not TOML", edit(`user = "alice"`, `user = "alice`), ":4: "},
		{"unknown key", edit("email", "mail"), ":7: mail: unknown key, expected one of binding, email, enabled, factor"},
		{"unknown factor key", edit("digits", "digit"), ":14: factor[1].digit: unknown key"},
		{"bad base32", edit("JBSWY3DPEHPK3PXP", "JBSWY3DPEHPK3PX1"), ":13: factor[1].secret: expected base32"},
		{"short secret", edit("JBSWY3DPEHPK3PXP", "JBSWY3DP"), ":13: factor[1].secret: expected 10 bytes at least, which is 16 characters of base32"},
		{"no secret", edit(`secret = "JBSWY3DPEHPK3PXP"`, ""), ":10: factor[1].secret: expected the key in base32"},
		{"5 digits", edit("digits = 6", "digits = 5"), ":14: factor[1].digits: expected 6, 7 or 8"},
		{"0 digits", edit("digits = 6", "digits = 0"), ":14: factor[1].digits: expected 6, 7 or 8"},
		{"short period", edit("period = 30", "period = 1"), ":15: factor[1].period: expected 15 to 300 seconds"},
		{"MD5", edit("SHA1", "MD5"), `:16: factor[1].algorithm: expected "SHA1", "SHA256" or "SHA512"`},
		{"unknown kind", edit(`"totp"`, `"tot"`), `:12: factor[1].kind: expected "totp"`},
		{"sms with a secret", edit(`"totp"`, `"sms"`), `:13: factor[1].secret: codes that are sent have none`},
		{"hotp with a period", edit(`"totp"`, `"hotp"`), `:15: factor[1].period: only a factor of kind "totp" has one`},
		{"totp with a counter", edit("period = 30", "counter = 1"), `:15: factor[1].counter: only a factor of kind "hotp" has one`},
		{"sms without a number", withKind("sms", "email = 'a@example.com'"), `:5: factor[1].kind: the person has no number to send to`},
		{"email without an address", withKind("email", "phone = '+4915112345'"), `:5: factor[1].kind: the person has no address to send to`},
		{"email with digits", withKind("email", "email = 'a@example.com'") + "digits = 6\n", `:7: factor[1].digits: codes that are sent have none`},
		{"two addresses", edit("alice@example.com", "alice@example.com,bob@example.com"), ":7: email: expected a plain mail address"},
		{"letters in phone", edit("+49151", "+49-151"), ":8: phone: expected a telephone number: a plus and digits, such as +491511234567"},
		{"no kind", edit(`kind = "totp"`, ""), `:10: factor[1].kind: expected "totp"`},
		{"bad id", edit(`"phone"`, `"my phone"`), ":11: factor[1].id: expected 1 to 32 of"},
		{"same id twice", byHand + "[[factor]]\nid = 'phone'\nkind = 'totp'\nsecret = 'JBSWY3DPEHPK3PXP'\nconfirmed = 2026-11-22T10:00:00Z\n", ":22: factor[2].id: this id is there twice"},
		{"somebody else's", edit(`user = "alice"`, `user = "bob"`), `:4: user: expected "alice", the name of the file`},
		{"no user", edit(`user = "alice"`, ""), `: user: expected "alice"`},
		{"version", edit("version = 1", "version = 2"), ":3: version: expected 1"},
		{"empty protocols", edit(`["ssh", "sftp"]`, `[]`), ":6: protocols: the list is empty"},
		{"unknown protocol", edit(`"sftp"`, `"sfpt"`), ":6: protocols: expected a protocol, one of ssh"},
		{"of somebody else", edit("enabled = true", "binding = '4cba889451624c52'"), ":5: binding: the file was written for another user; if that one was renamed to alice: otpctl rename OLD alice"},
		{"moved", edit("user = \"alice\"", "user = \"alicia\""), ":4: user: expected \"alice\", the name of the file; if alicia was renamed to alice: otpctl rename alicia alice"},
		{"moved, and no name", edit("user = \"alice\"", "user = \"\\u001b[31m\""), ":4: user: expected \"alice\", the name of the file"},
		{"codes of nobody", edit("hashes =", "user = '../bob'\nhashes ="), ":20: recovery.user: user name \"../bob\": expected"},
		{"prefix of an app", edit("digits = 6", "prefix = 'ubhe'"), ":14: factor[1].prefix: only a factor of kind \"hotp\" has one"},
		{"odd prefix", edit("kind = \"totp\"\nsecret = \"JBSWY3DPEHPK3PXP\"\ndigits = 6\nperiod = 30", "kind = 'hotp'\nsecret = 'JBSWY3DPEHPK3PXP'\nprefix = 'ub-he'"), ":14: factor[1].prefix: expected 1 to 16 of a-z, A-Z and 0-9"},
		{"bad hash", edit("0123", "012X"), ":20: recovery.hashes: expected hashes of 64 digits"},
		{"escape in phone", edit("+49151", "\\u001b[31m"), ":8: phone: expected a telephone number: a plus and digits, such as +491511234567"},
		{"text for bool", edit("enabled = true", "enabled = 'yes'"), ":5: enabled: expected true or false"},
		{"text for date", edit("2026-11-22T10:00:00Z", "'yes'"), ":17: factor[1].confirmed: expected a date and time"},
		{"empty", "", ": version: expected 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			expectRefusal(t, dir, write(t, path, "alice.toml", test.text), test.want)
		})
	}
}

// expectRefusal has alice's file refused by an error that begins with its path
// and what is wanted, and says nothing of her secret.
func expectRefusal(t *testing.T, dir *Dir, file, want string) {
	t.Helper()
	_, err := dir.Load("alice")
	if err == nil {
		t.Fatal("accepted")
	}
	if !strings.HasPrefix(err.Error(), file+want) {
		t.Errorf("got  %s\nwant %s%s", err, file, want)
	}
	if strings.Contains(err.Error(), "JBSW") {
		t.Errorf("the error quotes the secret: %s", err)
	}
}

func TestLoadChecksTheFile(t *testing.T) {
	dir, path := openDir(t)
	file := filepath.Join(path, "alice.toml")
	for _, test := range []struct {
		want string
		make func()
	}{
		{"mode 0644, expected at most 0600", func() { write(t, path, "alice.toml", byHand); os.Chmod(file, 0o644) }},
		{"mode 0640, expected at most 0600", func() { write(t, path, "alice.toml", byHand); os.Chmod(file, 0o640) }},
		{"owned by uid 4711, expected root", func() { write(t, path, "alice.toml", byHand); os.Chown(file, 4711, 0) }},
		{"symbolic link", func() { os.Remove(file); os.Symlink(write(t, path, "real", byHand), file) }},
		{"2 hard links, expected 1", func() { os.Remove(file); os.Link(filepath.Join(path, "real"), file) }},
		{"it is a FIFO", func() { os.Remove(file); unix.Mkfifo(file, 0o600) }},
		{"it is a directory", func() { os.Remove(file); os.Mkdir(file, 0o700) }},
		{"70000 bytes, expected at most 65536", func() { write(t, path, "alice.toml", strings.Repeat("#", 70000)) }},
	} {
		os.RemoveAll(file)
		test.make()
		_, err := dir.Load("alice")
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("got %v, want %s: … %s", err, file, test.want)
		}
		if errors.Is(err, ErrNotFound) {
			t.Errorf("%s: taken for a person without a file", test.want)
		}
	}
}

func TestOpenChecksTheDirectories(t *testing.T) {
	top := t.TempDir()
	users := filepath.Join(top, "etc", "users")
	if _, err := Open(users); err == nil || !strings.Contains(err.Error(), "install -d -m 700") {
		t.Errorf("missing directory: %v", err)
	}
	if err := os.MkdirAll(users, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(users); err != nil {
		t.Error(err)
	}
	os.Chmod(filepath.Dir(users), 0o775)
	if _, err := Open(users); err == nil || !strings.Contains(err.Error(), "lets others write") {
		t.Errorf("parent others can write: %v", err)
	}
	os.Chmod(filepath.Dir(users), 0o755)
	os.Chown(filepath.Dir(users), 4711, 0)
	if _, err := Open(users); err == nil || !strings.Contains(err.Error(), "owned by uid 4711") {
		t.Errorf("parent of somebody else: %v", err)
	}
	os.Chown(filepath.Dir(users), 0, 0)
	os.Symlink(filepath.Dir(users), filepath.Join(top, "link"))
	if _, err := Open(filepath.Join(top, "link", "users")); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("link on the way: %v", err)
	}
}
