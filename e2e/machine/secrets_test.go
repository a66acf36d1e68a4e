package machine

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/hotp"
)

// A leak that is planted is found, wherever it is.
func TestLeaksFindsWhatIsKept(t *testing.T) {
	p := WithoutUser("cat")
	code := p.Code(t, 0)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"code": "code=" + code + ".", "password": "x" + p.Password + "x", "secret": `{"s":"` + p.Secret + `"}`, "ledger": "otpledg\n" + strings.Repeat("\x00", 100) + code,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if found := leaksIn(dir); len(found) != 1 || !strings.Contains(found[0], path) {
			t.Errorf("%s: expected one leak in %s, found %q", name, path, found)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/longer", []byte("9"+code+" a"+code), 0o600); err != nil {
		t.Fatal(err)
	}
	if found := leaksIn(dir); len(found) > 0 {
		t.Errorf("digits within a word are no code, found %q", found)
	}
	if err := os.Rename(dir+"/longer", dir+"/"+code); err != nil {
		t.Fatal(err)
	}
	if found := leaksIn(dir); len(found) != 1 || !strings.Contains(found[0], "the name of") {
		t.Errorf("expected one leak in a file's name, found %q", found)
	}
}

// leaksIn are those in a directory, whatever other tests have planted elsewhere.
func leaksIn(dir string) (found []string) {
	for _, leak := range Leaks(dir) {
		if strings.Contains(leak, dir) && !strings.HasPrefix(leak, "nothing certain") {
			found = append(found, leak)
		}
	}
	return found
}

// keepNothing has the test begin without secrets, so that what others have planted is none.
func keepNothing(t *testing.T) {
	t.Helper()
	kept.mu.Lock()
	defer kept.mu.Unlock()
	others := kept.texts
	kept.texts = map[string]bool{}
	t.Cleanup(func() { kept.keep(slices.Collect(maps.Keys(others))...) })
}

// leaky is a run that knows one code of each length and one password.
func leaky() *secrets {
	s := &secrets{texts: map[string]bool{}}
	s.keep("131072", "65536123", "pw-ABCDEFGHIJ2345")
	return s
}

// In each line of a log a code is found where a person's text can stand, and
// no number is taken for one that has another reason.
func TestLeaksInLines(t *testing.T) {
	for _, line := range []string{
		`otpgate[7]: user=131072 service=sshd verdict=denied rule=code`,
		`otpgate[7]: user=amy service=sshd remote=127.0.0.1 verdict=denied rule=code reason="codes: 131072 is wrong"`,
		`otpgate[7]: user=amy service=sftp remote=127.0.0.1 op=transfer path=/131072 read=1 written=2 result=ok`,
		`otpgate[7]: user=amy service=sftp remote=127.0.0.1 op=rename path=/a target=/131072 result=ok`,
		`otpgate[7]: user=amy service=sftp remote=127.0.0.1 op=transfer path="/a read=131072 written=1 result=" read=1 written=2 result=ok`,
		`otpgate[7]: user=amy service=sftp remote=127.0.0.1 op=transfer path="/a read=131072 written=1 result=" read=1 written=2 result="no such file"`,
		`otpgate[7]: user=amy service=sftp remote=127.0.0.1 op=transfer path=/a read=1 written=2 result="open 131072: no such file"`,
		`sshd[131071]: Failed password for amy 131072 from 127.0.0.1 port 4711 ssh2`,
		`sshd[7]: Invalid user 65536123 from 127.0.0.1 port 131072`,
		`sudo[7]: amy : COMMAND=/bin/echo 131072`,
		`code=131072`, `131072`, `131072[7]: x`, `"131072"`, `(131072)`, `x:131072@y`, `uid 1310 131072`,
		`sshd[7]: pw-ABCDEFGHIJ2345 is no user`, `xpw-ABCDEFGHIJ2345x`,
	} {
		if found := leaky().finder().in([]byte(line)); len(found) == 0 {
			t.Errorf("expected a leak in %s, found %q", line, found)
		}
	}
	for _, line := range []string{
		`otpgate[131072]: user=amy service=sftp remote=127.0.0.1 op=transfer path=/a read=131072 written=65536123 result=ok`,
		`otpgate[7]: user=amy service=sftp op=transfer path="/a b" read=0 written=131072 result="no such file"`,
		`sshd[131072]: Connection from 127.0.0.1 port 45131 on 127.0.0.1 port 2201`,
		`sshd[7]: Accepted publickey for amy from 127.0.0.1 port 45131 ssh2: ED25519 SHA256:131072/BCDEFGHIJKLMNOPQRSTUVWXYZabcdef+65536123`,
		`pam_unix(x:auth): authentication failure; logname= uid=131072 euid=0`,
		`peer uid 131072 pid 131072: gone`,
		`reason="uids 131072 to 196607 without a user is refused: it has 16 dialogues open"`,
		`otpgate[7]: user=amy verdict=fault reason="encrypted with the key 65536123, and no file of secrets.keys has it"`,
		`[Sat Nov 28 17:33:27.131072 2026] [auth] x`,
	} {
		if found := leaky().finder().in([]byte(line)); len(found) != 0 {
			t.Errorf("expected no leak in %s, found %q", line, found)
		}
	}
}

// A number that nothing accounts for is told whether it is a code or not: it
// would be one by chance in one run of some hundred.
func TestChanceIsTold(t *testing.T) {
	s := &secrets{texts: map[string]bool{}}
	for code := range 5592 {
		s.keep(fmt.Sprintf("%06d", code))
	}
	for text, want := range map[string]string{
		`daemon[7]: it took 987654 microseconds`:                                   "one run of 179,",
		`otpgate[7]: op=transfer path=/a read=987654 written=876543 result=ok`:     "",
		`daemon[7]: it took 98765 microseconds, 9876543 ns, 0x987654, a987654_b`:   "",
		"otpledg\n" + strings.Repeat("\x00", 24) + strings.Repeat("\x99", 32):      "",
		"otpledg\n" + strings.Repeat("\x00", 24+32) + strings.Repeat("\x99", 1000): "",
		"\x00" + strings.Repeat("\x99", 1_000_000):                                 "one run of",
	} {
		found := s.leaks([]place{{"x", []byte(text)}, {"y", []byte(text)}})
		if (len(found) > 0) != (want != "") || want != "" && !strings.Contains(found[0], want) {
			t.Errorf("%.100q: expected %q, found %q", text, want, found)
		}
	}
}

func TestLeaksInSyslogAndOutputs(t *testing.T) {
	keepNothing(t)
	p := WithoutUser("dan")
	code := p.Code(t, 1)
	before := len(Leaks())
	if output, err := exec.Command("logger", "-p", "authpriv.notice", "-t", "somebody", "it was "+code).CombinedOutput(); err != nil {
		t.Fatalf("logger: %v: %s", err, output)
	}
	Log.Expect(t, "it was "+code)
	outputs.add("standard error of x", "panic: "+p.Secret+"\n\ngoroutine 1 [running]:\n")
	// As many times as it is seen, it is told once.
	for range 2 {
		lookAtArguments(planted(t, p.Password, code), "/the/build")
	}
	found := strings.Join(Leaks()[before:], "\n")
	for _, want := range []string{"syslog has", "standard error of x has", "arguments of otpgate-send has"} {
		if strings.Count(found, want) != 1 {
			t.Errorf("expected %q once, found\n%s", want, found)
		}
	}
	forget()
}

// planted is a /proc with one process of ours and one of others.
func planted(t *testing.T, ours, theirs string) string {
	t.Helper()
	proc := t.TempDir()
	for pid, process := range map[string][2]string{"7": {"/the/build/otpgate-send", ours}, "8": {"/usr/bin/curl", theirs}} {
		dir := filepath.Join(proc, pid)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(process[0], dir+"/exe"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/cmdline", []byte("program\x00--x\x00"+process[1]+"\x00"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return proc
}

// forget takes out again what a test has planted.
func forget() {
	for _, s := range []*seen{&outputs, &arguments} {
		s.mu.Lock()
		s.texts = nil
		s.mu.Unlock()
	}
}

// No key has two codes alike, and no password ends as a code does.
func TestPeopleAreNotMadeByChance(t *testing.T) {
	key, twice := make([]byte, 20), 0
	for n := range 300 {
		key[0], key[1] = byte(n), byte(n>>8)
		if !distinct(key, time.Unix(1_800_000_000, 0)) {
			twice++
		}
	}
	if twice == 0 || twice > 100 {
		t.Errorf("of 300 keys %d have a code twice in three hours, expected about 21", twice)
	}
	p := WithoutUser("eli")
	decoded, err := base32.StdEncoding.DecodeString(p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := hotp.GenerateCode(p.Secret, 1_000_000); err != nil || fmt.Sprintf("%06d", codeOf(decoded, 1_000_000)) != other {
		t.Errorf("the code is %d, and by the library %s, %v", codeOf(decoded, 1_000_000), other, err)
	}
	if end := p.Password[len(p.Password)-1]; end < 'a' || end > 'z' {
		t.Errorf("a password ends with %q", end)
	}
}

// What is found of many texts at once is what is found of each by itself.
func TestFinder(t *testing.T) {
	s := &secrets{texts: map[string]bool{}}
	random := rand.New(rand.NewPCG(1, 2))
	text := func(most int) string {
		letters := make([]byte, random.IntN(most))
		for i := range letters {
			letters[i] = "01 -x"[random.IntN(5)]
		}
		return string(letters)
	}
	for range 300 {
		s.keep(text(16))
	}
	for range 3000 {
		data := []byte(text(60))
		var want []string
		for kept := range s.texts {
			if bytes.Contains(data, []byte(kept)) {
				want = append(want, kept)
			}
		}
		found := s.finder().within(data)
		slices.Sort(found)
		slices.Sort(want)
		if !slices.Equal(found, want) {
			t.Fatalf("%q: found %q, expected %q", data, found, want)
		}
		var leaks []string
		for _, match := range word.FindAll(withoutNumbers(data), -1) {
			if len(match) < long && s.texts[string(match)] {
				leaks = append(leaks, string(match))
			}
		}
		for _, text := range want {
			if len(text) >= long {
				leaks = append(leaks, text)
			}
		}
		found = s.finder().in(data)
		slices.Sort(found)
		slices.Sort(leaks)
		if !slices.Equal(found, leaks) {
			t.Fatalf("%q: it leaks %q, expected %q", data, found, leaks)
		}
	}
}
