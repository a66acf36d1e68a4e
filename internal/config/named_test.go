package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The files that are named are looked at when the configuration is read, by
// whoever may.
func TestLoadChecksNamedFiles(t *testing.T) {
	dir := t.TempDir()
	path, secret, ca := filepath.Join(dir, "otpgate.toml"), filepath.Join(dir, "secret"), filepath.Join(dir, "ca.pem")
	text := "[email]\nsmtp = 'smtp://h'\nfrom = 'a@h'\nusername = 'u'\npassword_file = '" + secret + "'\nca_file = '" + ca + "'\n"
	write := func(path string, mode os.FileMode) {
		t.Helper()
		os.Remove(path)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(path, 0o644)
	expect := func(want string) {
		t.Helper()
		if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path+want) {
			t.Errorf("got  %v\nwant %s", err, path+want)
		}
	}
	expect(":5: email.password_file: open " + secret + ": no such file or directory; make it with (umask 077; cat >" + secret + ")")
	write(secret, 0o640)
	expect(":5: email.password_file: " + secret + ": unsafe file: mode 0640, expected at most 0600")
	write(secret, 0o400)
	expect(":6: email.ca_file: open " + ca + ": no such file")
	os.Symlink("/etc/ssl/certs/ca-certificates.crt", ca)
	expect(":6: email.ca_file: " + ca + ": unsafe file: it is a symbolic link")
	write(ca, 0o644)
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
	text = "[sms]\nurl = 'https://h/{otp_to}/{otp_token}'\nusername = 'u'\npassword_file = '" + secret + "x'\n"
	write(path, 0o644)
	expect(":4: sms.password_file: open " + secret + "x: no such file")
}

// Who may not look at a password is no judge of it: the configuration is for
// all to read. The test runs itself again as somebody else.
func TestLoadAsSomebodyElse(t *testing.T) {
	const variable = "OTPGATE_CONFIG_TEST"
	if path := os.Getenv(variable); path != "" {
		if err := syscall.Setuid(4711); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err != nil {
			t.Error(err)
		}
		if _, err := ReadCredential(filepath.Join(filepath.Dir(path), "secret")); err == nil {
			t.Error("read the password of somebody else")
		}
		return
	}
	dir, err := os.MkdirTemp("/tmp", "otpgate-config-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	text := "[email]\nsmtp = 'smtp://h'\nfrom = 'a@h'\nusername = 'u'\npassword_file = '" + dir + "/secret'\n"
	for name, mode := range map[string]os.FileMode{"otpgate.toml": 0o644, "secret": 0o600} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	again(t, variable+"="+dir+"/otpgate.toml")
}

func TestReadCredential(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for _, test := range []struct{ text, want string }{
		{"pass word", "pass word"}, {"p\n", "p"}, {"p\r\n", "p"}, {"", ""}, {"\n", ""}, {"a\nb\n", ""}, {"a\x00", ""}, {strings.Repeat("x", 5000), ""},
	} {
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadCredential(path)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%.20q: found %.20q, %v", test.text, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "a\n") {
			t.Errorf("the error quotes the password: %v", err)
		}
	}
}
