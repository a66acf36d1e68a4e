package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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
		if changed, err := rewriteOne(dir, "alice", step.how, true); changed != step.changed || err != nil || textOf(t, dir, "alice") != old {
			t.Errorf("%s, dry: %d, %v", step.name, changed, err)
		}
		if changed, err := rewriteOne(dir, "alice", step.how, false); changed != step.changed || err != nil {
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
	if _, err := rewriteOne(opened(t, at(users, first)), "bob", EncryptPlain, false); !errors.Is(err, ErrNotFound) {
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
	if _, err := rewriteOne(with, "alice", EncryptPlain, false); err != nil {
		t.Fatal(err)
	}
	text := textOf(t, with, "alice")
	value := secretLine(t, text)
	rewrite(t, with, "alice", strings.Replace(text, value, damaged(value), 1))
	both := opened(t, at(users, second, first))
	changed, err := rewriteOne(both, "alice", Rotate, false)
	if changed != 1 || !errors.Is(err, keyring.ErrDamaged) {
		t.Errorf("%d, %v", changed, err)
	}
	after := textOf(t, both, "alice")
	if secretLine(t, after) != damaged(value) || strings.Count(after, keyring.Prefix+secondName) != 1 {
		t.Errorf("got\n%s", after)
	}
	for _, how := range []Rewriting{EncryptPlain, Rotate} {
		if _, err := rewriteOne(opened(t, at(users, second+"-gone", second)), "alice", how, false); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without the first key: %v", err)
		}
	}
	if textOf(t, both, "alice") != after {
		t.Error("written without the first key")
	}
}

// killSteps are where the process dies that rewrites files.
var killSteps = map[string]func(*safefile.File, []safefile.Replacement, fs.FileMode) error{
	"before": func(*safefile.File, []safefile.Replacement, fs.FileMode) error { return die() },
	"in the middle of writing": func(dir *safefile.File, files []safefile.Replacement, _ fs.FileMode) error {
		return errors.Join(leave(dir, files[0].Name, files[0].Data[:len(files[0].Data)/2]), die())
	},
	"before it is renamed": func(dir *safefile.File, files []safefile.Replacement, _ fs.FileMode) error {
		return errors.Join(leave(dir, files[0].Name, files[0].Data), leave(dir, files[1].Name, files[1].Data), die())
	},
	"after the first": func(dir *safefile.File, files []safefile.Replacement, mode fs.FileMode) error {
		return errors.Join(safefile.ReplaceAll(dir, files[:1], mode), leave(dir, files[1].Name, files[1].Data), die())
	},
	"after": func(dir *safefile.File, files []safefile.Replacement, mode fs.FileMode) error {
		return errors.Join(safefile.ReplaceAll(dir, files, mode), die())
	},
}

// leave leaves what a process does that dies while it writes.
func leave(dir *safefile.File, name string, data []byte) error {
	file, err := safefile.CreateIn(dir, ".new-"+name)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(data, 0)
	return err
}

// rewriteOne is Rewrite of one person.
func rewriteOne(dir *Dir, name string, how Rewriting, dry bool) (changed int, err error) {
	done, err := dir.Rewrite([]string{name}, how, dry)
	if err != nil {
		return 0, err
	}
	return done[0].Changed, done[0].Err
}

func die() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }

// TestRewriteDies is the process that dies. It does nothing by itself.
func TestRewriteDies(t *testing.T) {
	users, step := os.Getenv("OTPGATE_TEST_USERS"), os.Getenv("OTPGATE_TEST_STEP")
	if users == "" {
		return
	}
	dir := opened(t, at(users, strings.Fields(os.Getenv("OTPGATE_TEST_KEYS"))...))
	dir.files.replaceAll = killSteps[step]
	var how Rewriting
	if _, err := fmt.Sscan(os.Getenv("OTPGATE_TEST_HOW"), &how); err != nil {
		t.Fatal(err)
	}
	_, err := dir.Rewrite([]string{"alice", "bob"}, how, false)
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
				enroll(t, opened(t, at(users)), "bob", phoneOf("bob", "phone"))
				dir := opened(t, at(users, test.keys...))
				if test.how != EncryptPlain {
					if _, err := opened(t, at(users, first)).Rewrite([]string{"alice", "bob"}, EncryptPlain, false); err != nil {
						t.Fatal(err)
					}
				}
				secrets := func() []string { return append(secretsOf(t, dir, "alice"), secretsOf(t, dir, "bob")...) }
				want := secrets()
				child := exec.Command(os.Args[0], "-test.run", "^TestRewriteDies$")
				child.Env = append(os.Environ(), "OTPGATE_TEST_USERS="+users, "OTPGATE_TEST_STEP="+step,
					"OTPGATE_TEST_KEYS="+strings.Join(test.keys, " "), fmt.Sprintf("OTPGATE_TEST_HOW=%d", test.how))
				output, err := child.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("%v\n%s", err, output)
				}
				if got := secrets(); strings.Join(got, "|") != strings.Join(want, "|") {
					t.Fatalf("after it was killed: %q", got)
				}
				if done, err := dir.Rewrite([]string{"alice", "bob"}, test.how, false); err != nil || done[0].Err != nil || done[1].Err != nil {
					t.Fatal(done, err)
				}
				if got := secrets(); strings.Join(got, "|") != strings.Join(want, "|") {
					t.Errorf("at the end: %q", got)
				}
				if value := secretLine(t, textOf(t, dir, "alice")); !strings.HasPrefix(value, test.end) {
					t.Errorf("at the end: %q", value)
				}
				if value := secretLine(t, textOf(t, dir, "bob")); !strings.HasPrefix(value, test.end) {
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
	if _, err := dir.Rewrite([]string{"alice"}, EncryptPlain, false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".new-alice.toml", ".new-bob.toml"} {
		must(t, os.WriteFile(filepath.Join(users, name), []byte(plain), 0o600))
	}
	if _, err := dir.Rewrite([]string{"alice"}, EncryptPlain, false); err != nil {
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

// patient waits for the lock for as long as it takes.
func patient(dir *safefile.File) (unlock func(), err error) {
	for {
		if unlock, err = safefile.LockDir(dir); !errors.Is(err, syscall.EWOULDBLOCK) {
			return unlock, err
		}
	}
}

// Two admins at once, while others write the same files. Each time all of the file system
// is written to disk, and on a busy machine one of them waits for the lock until the end.
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
		for _, dir := range []*Dir{encrypting, rotating, changing} {
			dir.files.lock = patient
		}
		each(encrypting, func(name string) error {
			_, err := rewriteOne(encrypting, name, EncryptPlain, false)
			return ignoreNoKey(err)
		})
		each(rotating, func(name string) error { _, err := rewriteOne(rotating, name, Rotate, false); return err })
		each(changing, func(name string) error {
			return changing.Change(name, func(p *Person) error { p.Phone = "+491511234567"; return nil })
		})
	}
	all.Wait()
	last := opened(t, at(users, second, first))
	for n := range people {
		name := fmt.Sprintf("user%02d", n)
		if _, err := rewriteOne(last, name, EncryptPlain, false); err != nil {
			t.Fatal(err)
		}
		if _, err := rewriteOne(last, name, Rotate, false); err != nil {
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

// Whoever changes one person gets a turn while somebody rewrites many.
func TestRewriteGivesOthersATurn(t *testing.T) {
	key, _ := newKey(t)
	users := safe(t)
	someone(t, users)
	rewriting, changing := opened(t, at(users, key)), opened(t, at(users, key))
	rests := 0
	rewriting.rest = func(rest time.Duration) {
		rests++
		if rest <= safefile.LockTries {
			t.Errorf("whoever waits tries every %v, and there is a rest of %v", safefile.LockTries, rest)
		}
		if err := changing.Change("alice", func(p *Person) error { p.Phone = fmt.Sprintf("+4915112345%d", rests); return nil }); err != nil {
			t.Error(err)
		}
	}
	const batches = 3
	for range batches {
		if _, err := rewriting.Rewrite([]string{"alice"}, Rotate, false); err != nil {
			t.Error(err)
		}
	}
	if rests != batches-1 {
		t.Errorf("%d rests between %d batches", rests, batches)
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
	var names []string
	for n := range b.N {
		names = append(names, fmt.Sprintf("user%d", n))
	}
	b.ResetTimer()
	for batch := range slices.Chunk(names, BatchSize) {
		if done, err := dir.Rewrite(batch, EncryptPlain, false); err != nil || done[0].Changed != 1 {
			b.Fatal(done[0], err)
		}
	}
}

// enrollSoon writes a person without waiting for the disk.
func enrollSoon(t testing.TB, dir *Dir, name string) {
	t.Helper()
	text := fmt.Sprintf("version = 1\nuser = '%s'\nenabled = true\n\n[[factor]]\nid = 'phone'\nkind = 'totp'\nsecret = '%s'\nconfirmed = 2026-11-22T10:00:00Z\n",
		name, phoneOf(name, "phone").Secret.Base32())
	rewrite(t, dir, name, text)
}
