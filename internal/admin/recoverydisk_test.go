package admin

import (
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/factor"
)

// Whoever makes recovery codes is not shown them when the disk fails. The ones on paper
// are still good then, or it is said that they are worthless.
func TestRecoveryOnAFailingDisk(t *testing.T) {
	const variable = "ADMIN_RECOVERY"
	if dir := os.Getenv(variable); dir != "" {
		runtime.LockOSThread() // strace counts the calls of each thread
		p := newFixture(t)
		p.Config.Paths.Users, p.Accounts = dir, files(dir)
		_, err := p.NewRecovery("alice")
		fmt.Println(err)
		return
	}
	for n, isKept := range map[int]bool{1: true, 2: false} {
		p := newPlaceOnDisk(t)
		dir, err := account.Create(p.Config.Paths.Users)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		recovery := func() account.Recovery {
			t.Helper()
			person, err := dir.Load("alice")
			if err != nil {
				t.Fatal(err)
			}
			return person.Recovery
		}
		err = dir.Change("alice", func(person *account.Person) error {
			f := enrollment.NewFactor("phone", p.Config.TOTP)
			f.Confirmed = p.Clock
			person.Factors = []account.Factor{f}
			_, person.Recovery = factor.NewRecovery("alice")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		before := recovery()
		cmd := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace=fsync", "-e", fmt.Sprintf("inject=fsync:error=EIO:when=%d", n),
			os.Args[0], "-test.run=^TestRecoveryOnAFailingDisk$")
		cmd.Env = append(os.Environ(), variable+"="+p.Config.Paths.Users, "GORACE=atexit_sleep_ms=0")
		said, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(said), "input/output error") {
			t.Fatalf("%v\n%s", err, said)
		}
		if now := recovery(); reflect.DeepEqual(now, before) != isKept || strings.Contains(string(said), "the recovery codes of before are worthless") == isKept {
			t.Errorf("the call %d fails: it says %s", n, said)
		}
	}
}

// Whose device counts although the disk fails is told where the recovery codes are.
func TestConfirmOnAFailingDisk(t *testing.T) {
	const variable = "ADMIN_CONFIRM"
	p := newPlaceOnDisk(t)
	if dir := os.Getenv(variable); dir != "" {
		p.Config.Paths.Users, p.Accounts = dir, files(dir)
		person, err := p.Accounts.Load("alice")
		if err != nil {
			t.Fatal(err)
		}
		code, err := totp.GenerateCode(person.Factors[0].Secret.Base32(), p.Clock)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Confirm(t.Context(), "alice", "phone", code)
		fmt.Println(err)
		return
	}
	dir, err := account.Create(p.Config.Paths.Users)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	err = dir.Change("alice", func(person *account.Person) error {
		person.Factors = []account.Factor{enrollment.NewFactor("phone", p.Config.TOTP)}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-P", p.Config.Paths.Users, "-e", "trace=fsync", "-e", "inject=fsync:error=EIO",
		os.Args[0], "-test.run=^TestConfirmOnAFailingDisk$")
	cmd.Env = append(os.Environ(), variable+"="+p.Config.Paths.Users, "GORACE=atexit_sleep_ms=0")
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "make new ones with otpctl recovery") || !p.has(t, "phone") {
		t.Errorf("%v\n%s", err, said)
	}
}
