package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/factor"
)

// Codes through a real sshd: which get in, how often, and what the log says.
func TestSSH(t *testing.T) {
	// The window is wide enough for all codes to last while a step ends.
	onAllPaths(t, "ssh", "[totp]\nwindow = 3\n", func(t *testing.T, here machine.Site) {
		t.Parallel()
		sshd := startSSHD(t, here)
		t.Run("right code", func(t *testing.T) {
			p := ada(t, here)
			expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 0)), hosts.OwnKeyExchange), 1)
			expectAudit(t, p, "service="+here.Name, "protocol=ssh", "remote="+p.Address, "verdict=accepted", "rule=totp:phone")
		})
		t.Run("codes of three steps, in order", func(t *testing.T) {
			p := machine.NewPerson(t, "ada")
			t.Parallel()
			p.Period = 120 // so that at most one step ends within the test
			p.Enroll(t, here.Users)
			for _, code := range []string{p.Code(t, -1), p.Code(t, 0), p.Code(t, 1)} {
				expectIn(t, p, sshd.Login(t, p, answers(p, code)), 1)
			}
		})
		t.Run("wrong codes", func(t *testing.T) {
			p := ada(t, here)
			wrong := p.Wrong(t)
			expectOut(t, p, sshd.Login(t, p, answers(p, wrong, wrong, wrong)), 3)
			expectAudit(t, p, "verdict=denied", "rule=policy.attempts.per_login")
		})
		t.Run("wrong code, then the right one", func(t *testing.T) {
			p := ada(t, here)
			expectIn(t, p, sshd.Login(t, p, answers(p, p.Wrong(t), p.Code(t, 0))), 2)
		})
		testForeignCodes(t, here, sshd)
		testNoCode(t, here, sshd)
	})
}

// ada is a person of a subtest, which goes in parallel.
func ada(t *testing.T, here machine.Site) *machine.Person {
	t.Helper()
	t.Parallel()
	return machine.NewPerson(t, "ada").Enroll(t, here.Users)
}

// testForeignCodes has right codes that are not, or no longer, the person's.
func testForeignCodes(t *testing.T, here machine.Site, sshd *hosts.SSHD) {
	t.Run("used code", func(t *testing.T) {
		p := ada(t, here)
		code := p.Code(t, 0)
		expectIn(t, p, sshd.Login(t, p, answers(p, code)), 1)
		d := sshd.Login(t, p, answers(p, code, code+" ", " "+code))
		expectOut(t, p, d, 3)
		if !strings.Contains(d.Transcript, "has been used") {
			t.Errorf("expected to be told that the code has been used:\n%s", d.Transcript)
		}
	})
	t.Run("older code after a newer one", func(t *testing.T) {
		p := ada(t, here)
		past := p.Code(t, -1)
		expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 0))), 1)
		expectOut(t, p, sshd.Login(t, p, answers(p, past, past, past)), 3)
	})
	t.Run("somebody else's code", func(t *testing.T) {
		other := machine.WithoutUser("bob").Enroll(t, here.Users)
		p := ada(t, here)
		code := other.Code(t, 0)
		expectOut(t, p, sshd.Login(t, p, answers(p, code, code, code)), 3)
	})
}

// testNoCode has logins that end before a code, and leave it good.
func testNoCode(t *testing.T, here machine.Site, sshd *hosts.SSHD) {
	t.Run("wrong password", func(t *testing.T) {
		p := ada(t, here)
		d := sshd.Login(t, p, machine.Answers{Passwords: []string{"not-" + p.Password}, Codes: []string{p.Code(t, 0)}})
		expectOut(t, p, d, 0)
		if strings.Contains(d.Transcript, "Verification") {
			t.Errorf("the code was asked after a wrong password:\n%s", d.Transcript)
		}
		// The code has not been used up either.
		expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 0))), 1)
	})
	t.Run("nobody of that name", func(t *testing.T) {
		t.Parallel()
		p := machine.WithoutUser("nobody")
		expectOut(t, p, sshd.Login(t, p, answers(p, "123456")), 0)
	})
	t.Run("Ctrl-C", func(t *testing.T) {
		p := ada(t, here)
		expectOut(t, p, sshd.Login(t, p, answers(p, "\x03")), 1)
		expectOut(t, p, sshd.Login(t, p, answers(p, p.Code(t, 0)+"\x03")), 1)
		expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 0))), 1)
	})
}

// Whatever is not exactly a code is refused, costs no attempt and leaves the
// code good.
func TestSSHSpelling(t *testing.T) {
	onAllPaths(t, "spelling", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		sshd := startSSHD(t, here)
		wide := strings.NewReplacer("0", "０", "1", "１", "2", "２", "3", "３", "4", "４", "5", "５", "6", "６", "7", "７", "8", "８", "9", "９")
		for name, spell := range map[string]func(code string) string{
			"leading space":      func(c string) string { return " " + c },
			"trailing space":     func(c string) string { return c + " " },
			"space within":       func(c string) string { return c[:3] + " " + c[3:] },
			"tab":                func(c string) string { return c + "\t" },
			"full-width digits":  wide.Replace,
			"arabic digit":       func(c string) string { return "٣" + c[1:] },
			"sign":               func(c string) string { return "+" + c },
			"leading zero":       func(c string) string { return "0" + c },
			"five digits":        func(c string) string { return c[:5] },
			"twice":              func(c string) string { return c + c },
			"empty":              func(string) string { return "" },
			"512 characters":     func(c string) string { return c + strings.Repeat("x", 506) },
			"escape sequence":    func(c string) string { return "\x1b[31m" + c },
			"backspaces":         func(c string) string { return c + "0\b" },
			"right-to-left mark": func(c string) string { return "\u200f" + c },
			"not UTF-8":          func(c string) string { return c + "\xff" },
			"format characters":  func(c string) string { return "%n%s" + c },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := machine.NewPerson(t, "sam").Enroll(t, here.Users)
				code := p.Code(t, 0)
				odd := spell(code)
				expectOut(t, p, loginRaw(t, sshd, p, odd, odd, odd), 3)
				expectIn(t, p, loginRaw(t, sshd, p, odd, odd, code), 3)
			})
		}
		// Past PAM_MAX_RESP_SIZE there is no answer at all, so the login ends.
		for _, size := range []int{600, 5000} {
			t.Run(fmt.Sprint(size, " digits"), func(t *testing.T) {
				t.Parallel()
				p := machine.NewPerson(t, "sam").Enroll(t, here.Users)
				expectOut(t, p, loginRaw(t, sshd, p, strings.Repeat(p.Code(t, 0), size/6)), 1)
				expectAudit(t, p, "verdict=denied", "rule=no-answer", "over 512 bytes")
				expectIn(t, p, loginRaw(t, sshd, p, p.Code(t, 0)), 1)
			})
		}
	})
}

// A recovery code gets its owner in, once.
func TestSSHRecovery(t *testing.T) {
	onAllPaths(t, "recovery", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		sshd := startSSHD(t, here)
		p, other := machine.NewPerson(t, "rae"), machine.NewPerson(t, "ron")
		codes, recovery := factor.NewRecovery(p.Name)
		machine.Keep(codes...)
		hashes := "\n[recovery]\nhashes = [\"" + strings.Join(recovery.Hashes, `", "`) + "\"]\n"
		p.Write(t, here.Users, p.SecretFile()+hashes)
		// The same hashes in somebody else's file open nothing.
		other.Write(t, here.Users, other.SecretFile()+hashes)

		expectOut(t, other, sshd.Login(t, other, answers(other, codes[0], codes[1], codes[2])), 3)
		expectIn(t, p, sshd.Login(t, p, answers(p, codes[0])), 1)
		expectAudit(t, p, "verdict=accepted", "rule=recovery")
		expectOut(t, p, sshd.Login(t, p, answers(p, codes[0], recovery.Hashes[1], codes[0])), 3)
		expectIn(t, p, sshd.Login(t, p, answers(p, strings.ToUpper(codes[1]), codes[1])), 2)
		expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 0))), 1)
	})
}
