package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/safefile"
)

// secretsOf are the secrets of a person as they are read, "" for one that cannot be.
func secretsOf(t testing.TB, dir *Dir, user string) (secrets []string) {
	t.Helper()
	person, err := dir.Load(user)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range person.Factors {
		secrets = append(secrets, string(f.Secret))
	}
	return secrets
}

// someone writes a person by hand, plain, with what otpctl does not write so.
func someone(t testing.TB, users string) {
	t.Helper()
	enroll(t, opened(t, at(users)), "alice", phoneOf("alice", "phone"), phoneOf("alice", "spare"), Factor{ID: "mail", Kind: Email, Confirmed: sinceNoon})
	dir := opened(t, at(users))
	rewrite(t, dir, "alice", "# bought in May\n"+textOf(t, dir, "alice"))
}

func TestRewrite(t *testing.T) {
	first, firstName := newKey(t)
	second, secondName := newKey(t)
	users := safe(t)
	someone(t, users)
	before := textOf(t, opened(t, at(users)), "alice")
	for _, step := range []struct {
		name      string
		keys      []string
		how       Rewriting
		changed   int
		encrypted string // the key that all have afterwards
	}{
		{"encrypt", []string{first}, EncryptPlain, 2, firstName},
		{"encrypt again", []string{second, first}, EncryptPlain, 0, firstName},
		{"rotate to itself", []string{first}, Rotate, 0, firstName},
		{"rotate", []string{second, first}, Rotate, 2, secondName},
		{"decrypt", []string{second}, DecryptAll, 2, ""},
		{"rotate plain ones", []string{second, first}, Rotate, 0, ""},
		{"decrypt again", []string{second}, DecryptAll, 0, ""},
	} {
		dir := opened(t, at(users, step.keys...))
		old := textOf(t, dir, "alice")
		if changed, err := dir.Rewrite("alice", step.how, true); changed != step.changed || err != nil || textOf(t, dir, "alice") != old {
			t.Errorf("%s, dry: %d, %v", step.name, changed, err)
		}
		if changed, err := dir.Rewrite("alice", step.how, false); changed != step.changed || err != nil {
			t.Errorf("%s: %d, %v", step.name, changed, err)
		}
		if got := secretsOf(t, dir, "alice"); got[0] != string(phoneOf("alice", "phone").Secret) || got[1] != string(phoneOf("alice", "spare").Secret) {
			t.Errorf("%s: %q", step.name, got)
		}
		if key := keyring.KeyOf(secretLine(t, textOf(t, dir, "alice"))); key != step.encrypted {
			t.Errorf("%s: encrypted with %q, want %q", step.name, key, step.encrypted)
		}
	}
	if after := textOf(t, opened(t, at(users)), "alice"); after != before {
		t.Errorf("after all that\n%s\nof\n%s", after, before)
	}
	if _, err := opened(t, at(users, first)).Rewrite("bob", EncryptPlain, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
}

// One secret that cannot be read keeps no other from being changed, and is not lost.
func TestRewriteBesideUnreadable(t *testing.T) {
	first, _ := newKey(t)
	second, secondName := newKey(t)
	users := safe(t)
	someone(t, users)
	with := opened(t, at(users, first))
	if _, err := with.Rewrite("alice", EncryptPlain, false); err != nil {
		t.Fatal(err)
	}
	text := textOf(t, with, "alice")
	value := secretLine(t, text)
	damaged := value[:len(value)-9] + "x" + value[len(value)-8:]
	rewrite(t, with, "alice", strings.Replace(text, value, damaged, 1))
	both := opened(t, at(users, second, first))
	changed, err := both.Rewrite("alice", Rotate, false)
	if changed != 1 || !errors.Is(err, keyring.ErrDamaged) {
		t.Errorf("%d, %v", changed, err)
	}
	after := textOf(t, both, "alice")
	if secretLine(t, after) != damaged || strings.Count(after, keyring.Prefix+secondName) != 1 {
		t.Errorf("got\n%s", after)
	}
	for _, how := range []Rewriting{EncryptPlain, Rotate} {
		if _, err := opened(t, at(users, second+"-gone", second)).Rewrite("alice", how, false); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without the first key: %v", err)
		}
	}
	if textOf(t, both, "alice") != after {
		t.Error("written without the first key")
	}
}

// killSteps are where the process dies that rewrites a file.
var killSteps = map[string]replacing{
	"before": func(*safefile.File, string, []byte, fs.FileMode) error { return die() },
	"in the middle of writing": func(dir *safefile.File, name string, data []byte, _ fs.FileMode) error {
		file, err := safefile.CreateIn(dir, ".new-"+name)
		if err != nil {
			return err
		}
		if _, err := file.WriteAt(data[:len(data)/2], 0); err != nil {
			return err
		}
		return die()
	},
	"before it is renamed": func(dir *safefile.File, name string, data []byte, _ fs.FileMode) error {
		file, err := safefile.CreateIn(dir, ".new-"+name)
		if err != nil {
			return err
		}
		if _, err := file.WriteAt(data, 0); err != nil {
			return err
		}
		return die()
	},
	"after": func(dir *safefile.File, name string, data []byte, mode fs.FileMode) error {
		if err := safefile.ReplaceSoon(dir, name, data, mode); err != nil {
			return err
		}
		return die()
	},
}

func die() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }

// TestRewriteDies is the process that dies. It does nothing by itself.
func TestRewriteDies(t *testing.T) {
	users, step := os.Getenv("OTPGATE_TEST_USERS"), os.Getenv("OTPGATE_TEST_STEP")
	if users == "" {
		return
	}
	dir := opened(t, at(users, strings.Fields(os.Getenv("OTPGATE_TEST_KEYS"))...))
	dir.soon = killSteps[step]
	var how Rewriting
	if _, err := fmt.Sscan(os.Getenv("OTPGATE_TEST_HOW"), &how); err != nil {
		t.Fatal(err)
	}
	_, err := dir.Rewrite("alice", how, false)
	t.Fatalf("not killed: %v", err)
}

// Killed at each step and run again, nothing is lost and nothing is left.
func TestRewriteKilled(t *testing.T) {
	first, _ := newKey(t)
	second, _ := newKey(t)
	for _, test := range []struct {
		name string
		keys []string
		how  Rewriting
		end  string
	}{
		{"encrypt", []string{first}, EncryptPlain, keyring.Prefix},
		{"rotate", []string{second, first}, Rotate, keyring.Prefix},
		{"decrypt", []string{second, first}, DecryptAll, ""},
	} {
		for step := range killSteps {
			t.Run(test.name+" "+step, func(t *testing.T) {
				t.Parallel()
				users := safe(t)
				someone(t, users)
				dir := opened(t, at(users, test.keys...))
				if test.how != EncryptPlain {
					if _, err := opened(t, at(users, first)).Rewrite("alice", EncryptPlain, false); err != nil {
						t.Fatal(err)
					}
				}
				want := secretsOf(t, dir, "alice")
				child := exec.Command(os.Args[0], "-test.run", "^TestRewriteDies$")
				child.Env = append(os.Environ(), "OTPGATE_TEST_USERS="+users, "OTPGATE_TEST_STEP="+step,
					"OTPGATE_TEST_KEYS="+strings.Join(test.keys, " "), fmt.Sprintf("OTPGATE_TEST_HOW=%d", test.how))
				output, err := child.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("%v\n%s", err, output)
				}
				if got := secretsOf(t, dir, "alice"); strings.Join(got, "|") != strings.Join(want, "|") {
					t.Fatalf("after it was killed: %q", got)
				}
				if _, err := dir.Rewrite("alice", test.how, false); err != nil {
					t.Fatal(err)
				}
				if got := secretsOf(t, dir, "alice"); strings.Join(got, "|") != strings.Join(want, "|") {
					t.Errorf("at the end: %q", got)
				}
				if value := secretLine(t, textOf(t, dir, "alice")); !strings.HasPrefix(value, test.end) {
					t.Errorf("at the end: %q", value)
				}
				if err := dir.Change("alice", func(p *Person) error { p.Phone = "+491511234567"; return nil }); err != nil {
					t.Error(err)
				}
				if left, err := filepath.Glob(users + "/.new-*"); err != nil || len(left) > 0 {
					t.Errorf("left: %q, %v", left, err)
				}
			})
		}
	}
}

// What was left by a killed command that wrote plain secrets is gone once all are
// encrypted, also where there is nothing else to do and of people without a file.
func TestNothingPlainIsLeft(t *testing.T) {
	key, _ := newKey(t)
	users := safe(t)
	someone(t, users)
	plain := textOf(t, opened(t, at(users)), "alice")
	dir := opened(t, at(users, key))
	if _, err := dir.Rewrite("alice", EncryptPlain, false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".new-alice.toml", ".new-bob.toml"} {
		must(t, os.WriteFile(filepath.Join(users, name), []byte(plain), 0o600))
	}
	if _, err := dir.Rewrite("alice", EncryptPlain, false); err != nil {
		t.Fatal(err)
	}
	must(t, dir.RemoveLeft())
	if left, err := filepath.Glob(users + "/.new-*"); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	if _, err := dir.Load("alice"); err != nil {
		t.Error(err)
	}
}

// Two admins at once, while others write the same files.
func TestRewriteByTwo(t *testing.T) {
	first, _ := newKey(t)
	second, secondName := newKey(t)
	users := safe(t)
	const people = 20
	plain := opened(t, at(users))
	for n := range people {
		name := fmt.Sprintf("user%02d", n)
		enroll(t, plain, name, phoneOf(name, "phone"))
	}
	var all sync.WaitGroup
	each := func(dir *Dir, do func(name string) error) {
		all.Go(func() {
			for n := range people {
				if err := do(fmt.Sprintf("user%02d", n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		encrypting, rotating, changing := opened(t, at(users, first)), opened(t, at(users, second, first)), opened(t, at(users, second, first))
		each(encrypting, func(name string) error {
			_, err := encrypting.Rewrite(name, EncryptPlain, false)
			return ignoreNoKey(err)
		})
		each(rotating, func(name string) error { _, err := rotating.Rewrite(name, Rotate, false); return err })
		each(changing, func(name string) error {
			return changing.Change(name, func(p *Person) error { p.Phone = "+491511234567"; return nil })
		})
	}
	all.Wait()
	last := opened(t, at(users, second, first))
	for n := range people {
		name := fmt.Sprintf("user%02d", n)
		if _, err := last.Rewrite(name, EncryptPlain, false); err != nil {
			t.Fatal(err)
		}
		if _, err := last.Rewrite(name, Rotate, false); err != nil {
			t.Fatal(err)
		}
		person, err := last.Load(name)
		if err != nil || person.Unreadable() != nil || string(person.Factors[0].Secret) != string(phoneOf(name, "phone").Secret) || person.Phone == "" {
			t.Errorf("%s: %v, %v", name, err, person.Unreadable())
		}
		if key := keyring.KeyOf(person.Factors[0].Encrypted); key != secondName {
			t.Errorf("%s: encrypted with %s", name, key)
		}
	}
}

// ignoreNoKey is for whoever does not have the key that another one has rotated to:
// what is encrypted already it need not read.
func ignoreNoKey(err error) error {
	if errors.Is(err, keyring.ErrNoKey) {
		return nil
	}
	return err
}

// BenchmarkRewrite encrypts one person after the other, as for 100,000 of them.
func BenchmarkRewrite(b *testing.B) {
	key, _ := newKey(b)
	users := safe(b)
	plain := opened(b, at(users))
	for n := range b.N {
		enrollSoon(b, plain, fmt.Sprintf("user%d", n))
	}
	dir := opened(b, at(users, key))
	b.ResetTimer()
	for n := range b.N {
		if changed, err := dir.Rewrite(fmt.Sprintf("user%d", n), EncryptPlain, false); changed != 1 || err != nil {
			b.Fatal(changed, err)
		}
	}
	must(b, dir.Sync())
}

// enrollSoon writes a person without waiting for the disk.
func enrollSoon(t testing.TB, dir *Dir, name string) {
	t.Helper()
	text := fmt.Sprintf("version = 1\nuser = '%s'\nenabled = true\n\n[[factor]]\nid = 'phone'\nkind = 'totp'\nsecret = '%s'\nconfirmed = 2026-11-22T10:00:00Z\n",
		name, phoneOf(name, "phone").Secret.Base32())
	rewrite(t, dir, name, text)
}
