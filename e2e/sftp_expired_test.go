package e2e

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// newPassword is one that nobody has had.
func newPassword() string { return machine.WithoutUser("password").Password }

// logsInBy has the person log in with a password and the next code, without
// being asked for another.
func logsInBy(t *testing.T, s *hosts.SFTPD, p *machine.Person, password string) {
	t.Helper()
	d := s.Login(t, p, machine.Answers{Passwords: []string{password}, Codes: []string{p.Code(t, 1)}}, nil, "pwd")
	expectIn(t, p, d, 1)
}

// Whichever way the factors came, a password that has expired is changed once
// they were right.
func TestSFTPExpiredPassword(t *testing.T) {
	onSFTPPaths(t, "sftp-expired", "", patient, changesExpired)
}

func changesExpired(t *testing.T, s *hosts.SFTPD) {
	for name, test := range map[string]struct {
		options []string
		before  int // passwords typed before the dialogue
	}{
		"keyboard-interactive": {[]string{"PreferredAuthentications=keyboard-interactive"}, 1},
		"password":             {[]string{"PreferredAuthentications=password,keyboard-interactive"}, 1},
		"key":                  {[]string{"PreferredAuthentications=publickey,keyboard-interactive"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := machine.NewPerson(t, "sfx").Enroll(t, s.Site.Users)
			_, key := newKey(t, p)
			p.Expire(t)
			fresh := newPassword()
			passwords := []string{p.Password, p.Password, fresh, fresh}[1-test.before:]
			answers := machine.Answers{Passwords: passwords, Codes: []string{p.Code(t, 0)}}
			d := s.Login(t, p, answers, append(test.options, "IdentityFile="+key), "pwd")
			expectIn(t, p, d, 1)
			for _, prompt := range []string{"Current password:", "New password:", "Retype new password:"} {
				if !strings.Contains(d.Transcript, prompt) || strings.Index(d.Transcript, prompt) < strings.Index(d.Transcript, "Verification code:") {
					t.Errorf("expected %q behind the code:\n%s", prompt, d.Transcript)
				}
			}
			expectAudit(t, p, "verdict=changed", "rule=password-change")
			expectOut(t, p, s.Login(t, p, machine.Answers{Passwords: []string{p.Password}}, nil), 0)
			logsInBy(t, s, p, fresh)
		})
	}
}

// Nobody changes anything without both factors and the old password, and who
// fails is not in.
func TestSFTPExpiredPasswordRefuses(t *testing.T) {
	onSFTPPaths(t, "sftp-expired-not", "", patient, refusesExpired)
}

func refusesExpired(t *testing.T, s *hosts.SFTPD) {
	const other = "Other-password-1"
	for name, test := range map[string]struct {
		options   []string
		passwords func(p *machine.Person) []string // nil for a wrong code
		why       string
	}{
		"a wrong code": {[]string{"PreferredAuthentications=keyboard-interactive"}, nil, ""},
		"a wrong retype": {nil, func(p *machine.Person) []string {
			return []string{p.Password, p.Password, "New-password-1", other}
		}, "rule=password-change"},
		"a wrong old password": {nil, func(p *machine.Person) []string {
			return []string{p.Password, other, other, other}
		}, "rule=password-change"},
		"the same again": {nil, func(p *machine.Person) []string {
			return []string{p.Password, p.Password, p.Password, p.Password, p.Password, p.Password}
		}, "rule=password-change"},
		"an interrupt": {nil, func(p *machine.Person) []string {
			return []string{p.Password, p.Password, "\x03"}
		}, "rule=password-change"},
		"a client that cannot be asked": {[]string{"PreferredAuthentications=password", "KbdInteractiveAuthentication=no"}, func(p *machine.Person) []string {
			return []string{p.Password + p.Code(t, 0)}
		}, "the client must know the method keyboard-interactive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := machine.NewPerson(t, "sfx").Enroll(t, s.Site.Users)
			p.Expire(t)
			answers := machine.Answers{Passwords: []string{p.Password, p.Password, other, other}, Codes: []string{p.Wrong(t), p.Wrong(t), p.Wrong(t)}}
			if test.passwords != nil {
				answers = machine.Answers{Passwords: test.passwords(p), Codes: []string{p.Code(t, 0)}}
			}
			d := s.Login(t, p, answers, test.options, "pwd")
			if d.In(p) || d.Hung || test.passwords == nil && d.Passwords != 1 {
				t.Errorf("expected %s out, found status %d, hung %v, after %d passwords:\n%s", p.Name, d.Status, d.Hung, d.Passwords, d.Transcript)
			}
			if test.why != "" {
				expectAudit(t, p, "verdict=denied", test.why)
			}
			// The old one is still good, and still has to be changed.
			fresh := newPassword()
			d = s.Login(t, p, machine.Answers{Passwords: []string{p.Password, p.Password, fresh, fresh}, Codes: []string{p.Code(t, 1)}}, nil, "pwd")
			expectIn(t, p, d, 1)
		})
	}
}

// A dialogue ends with the time for the login.
func TestSFTPExpiredPasswordGrace(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-expired-grace", noCodes, patient+"limits.login_grace = \"15s\"\n")
	p := machine.NewPerson(t, "sfx")
	signer, _ := newKey(t, p)
	p.Expire(t)
	asked := make(chan string, 9)
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	v := &sshClient{person: p, server: s}
	done := make(chan bool, 1)
	go func() {
		_, err := v.connect(t, ssh.PublicKeys(signer), ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
			if asked <- strings.Join(questions, ""); strings.Contains(questions[0], "Current") {
				return []string{p.Password}, nil
			}
			<-hold
			return []string{"Late-password-1"}, nil
		}))
		done <- err == nil
	}()
	// Either the front or the client is noticed to have gone first.
	machine.Log.Expect(t, "user="+p.Name+" ", "verdict=denied")
	if len(asked) != 2 {
		t.Errorf("expected two questions, found %d", len(asked))
	}
	hold <- struct{}{}
	if <-done {
		t.Error("in after the time for the login")
	}
}

// Somebody whose session is shared changes the password in a transaction of
// the new login's own.
func TestSFTPExpiredPasswordShared(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-expired-shared", noCodes, patient+"worker = \"user\"\n")
	p := machine.NewPerson(t, "sfx")
	signer, key := newKey(t, p)
	client, f := files(t, s, p, signer)
	defer client.Close()
	p.Expire(t)
	fresh := newPassword()
	d := s.Login(t, p, machine.Answers{Passwords: []string{p.Password, fresh, fresh}}, []string{"IdentityFile=" + key}, "pwd")
	expectIn(t, p, d, 0)
	if _, err := f.Getwd(); err != nil {
		t.Errorf("the session from before: %v", err)
	}
	d = s.Login(t, p, machine.Answers{Passwords: []string{fresh}}, []string{"IdentityFile=" + key}, "pwd")
	if expectIn(t, p, d, 0); d.Passwords != 0 {
		t.Errorf("asked again:\n%s", d.Transcript)
	}
}

// Debian's stack ends where the password has expired, so what stands behind is
// asked once it is changed.
func TestSFTPExpiredPasswordAccount(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-expired-account", noCodes, patient)
	machine.WriteService(t, s.Service(), "@include common-auth\n@include common-account\naccount required pam_deny.so\n@include common-password\n@include common-session\n")
	p := machine.NewPerson(t, "sfx")
	p.Expire(t)
	fresh := newPassword()
	d := s.Login(t, p, machine.Answers{Passwords: []string{p.Password, p.Password, fresh, fresh}}, nil, "pwd")
	expectOut(t, p, d, 0)
	expectAudit(t, p, "verdict=changed")
	expectAudit(t, p, "verdict=denied", "rule=account")
}

// A front that is taken over has no session by way of the change, and asks for
// no end.
func TestSFTPTakenOverExpired(t *testing.T) {
	t.Parallel()
	s := startHostile(t, "sftp-expired-taken", noCodes, patient)
	p := machine.NewPerson(t, "sfx")
	signer, _ := newKey(t, p)
	p.Expire(t)
	interactive := fields.Message(messages.AskInteractive).Text(p.Name).Bytes
	answer := func(text string) []byte {
		return fields.Message(messages.AskAnswer).Bool(true).Text(text).Bytes
	}
	password := fields.Message(messages.AskPassword).Text(p.Name).Text(p.Password).Bytes
	fill := byte(0)
	for name, steps := range map[string][][]byte{
		"at once":         nil,
		"another proof":   {proofOf(t, p.Name, p.Name, signer, sessionID(7))},
		"a password":      {password},
		"not the old one": {interactive, answer("x"), answer("y"), answer("y")},
		"a long one":      {interactive, answer(p.Password), answer(strings.Repeat("x", 600))},
		"another's":       {fields.Message(messages.AskInteractive).Text("root").Bytes},
	} {
		c := take(t, s, p)
		id := sessionID(7)
		if name != "another proof" {
			fill++
			id = sessionID(fill + 7)
		}
		must(t, c.sign(id))
		if outcome := c.step(proofOf(t, p.Name, p.Name, signer, id)); outcome != messages.Partial {
			t.Fatalf("%s: expected a partial success, found %d", name, outcome)
		}
		for _, message := range steps {
			if outcome := c.step(message); outcome == messages.Accepted {
				t.Errorf("%s: accepted", name)
			}
		}
		if c.hasSession() {
			t.Errorf("%s: a worker was given out", name)
		}
	}
}
