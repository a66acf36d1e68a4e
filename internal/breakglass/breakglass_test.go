package breakglass

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/testfault"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 5, time.UTC)

// A code is good once, in one spelling, for one name, and is no recovery code.
func TestVerify(t *testing.T) {
	codes, kept := New("root", noon)
	if len(codes) != Count || len(kept.Hashes) != Count || !kept.Made.Equal(noon.Truncate(time.Second)) {
		t.Fatalf("%d codes, %+v", len(codes), kept)
	}
	for i, code := range codes {
		if !IsCode(code) || len(code) != Length || slices.Contains(codes[:i], code) {
			t.Errorf("code %d has not the form, or is there twice", i)
		}
	}
	var entry ledger.Entry
	other := kept
	other.User = "alice"
	foreign, _ := New("root", noon)
	for name, test := range map[string]struct {
		codes Codes
		code  string
	}{
		"other name":     {other, codes[0]},
		"other code":     {kept, foreign[0]},
		"without dashes": {kept, strings.ReplaceAll(codes[0], "-", "")},
		"space":          {kept, codes[0] + " "},
		"capitals":       {kept, strings.ToUpper(codes[0]) + "\n"},
		"hash":           {kept, kept.Hashes[0]},
		"empty":          {kept, ""},
		"nobody's":       {Codes{User: "root"}, codes[0]},
	} {
		if outcome := test.codes.Verify(test.code, &entry); outcome != factor.Wrong || entry.UsedHashes != nil {
			t.Errorf("%s: %v, %+v", name, outcome, entry)
		}
	}
	for i, code := range codes {
		if outcome := kept.Verify(code, &entry); outcome != factor.Right || kept.Left(entry) != Count-1-i {
			t.Errorf("%v, %d left", outcome, kept.Left(entry))
		}
		if outcome := kept.Verify(code, &entry); outcome != factor.Used {
			t.Errorf("a second time: %v", outcome)
		}
	}
	_, recovery := factor.NewRecovery("root")
	if slices.Contains(recovery.Hashes, kept.Hashes[0]) || hash("root", "x") == hash("roo", "tx") {
		t.Error("hashes are not bound to their purpose")
	}
}

func TestSaveAndLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "break-glass")
	if _, err := Load(dir, "root"); !errors.Is(err, ErrNone) {
		t.Errorf("without a directory: %v", err)
	}
	if err := Remove(dir, "root"); !errors.Is(err, ErrNone) {
		t.Errorf("remove without a directory: %v", err)
	}
	if names, err := Names(dir); len(names) > 0 || err != nil {
		t.Errorf("names without a directory: %v, %v", names, err)
	}
	_, kept := New("root", noon)
	if err := Save(dir, kept); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(dir, "root")
	if err != nil || loaded.User != "root" || !slices.Equal(loaded.Hashes, kept.Hashes) || !loaded.Made.Equal(kept.Made) {
		t.Errorf("%+v, %v", loaded, err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, Path(dir, "root"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	_, next := New("root", noon)
	if err := Save(dir, next); err != nil {
		t.Fatal(err)
	}
	if loaded, err = Load(dir, "root"); err != nil || !slices.Equal(loaded.Hashes, next.Hashes) {
		t.Errorf("replaced: %+v, %v", loaded, err)
	}
	if err := os.WriteFile(dir+"/root.toml~", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := Names(dir); !slices.Equal(names, []string{"root"}) || err != nil {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := Load(dir, "alice"); !errors.Is(err, ErrNone) {
		t.Errorf("somebody else: %v", err)
	}
	if err := Remove(dir, "root"); err != nil {
		t.Error(err)
	}
	if err := Remove(dir, "root"); !errors.Is(err, ErrNone) {
		t.Errorf("removed twice: %v", err)
	}
	for _, name := range []string{"", "../root", "a/b", ".root", "~"} {
		_, err := Load(dir, name)
		if err == nil || errors.Is(err, ErrNone) || Save(dir, Codes{Version: 1, User: name, Hashes: next.Hashes}) == nil || Remove(dir, name) == nil {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

// A file that is wrong names itself, the line and the key, and shows no hash.
func TestParseRefuses(t *testing.T) {
	good := strings.Repeat("0a", 32)
	for name, test := range map[string]struct{ text, problem string }{
		"empty":       {"", "version: expected 1"},
		"version":     {"version = 2\nuser = \"root\"\nhashes = [\"" + good + "\"]", ":1: version: expected 1"},
		"other user":  {"version = 1\nuser = \"alice\"\nhashes = [\"" + good + "\"]", ":2: user: expected \"root\", as the file is called"},
		"no hashes":   {"version = 1\nuser = \"root\"\nhashes = []", ":3: hashes: expected hashes"},
		"left out":    {"version = 1\nuser = \"root\"", "hashes: expected hashes"},
		"short":       {"version = 1\nuser = \"root\"\nhashes = [\"0a0a\"]", ":3: hashes: number 1 is no hash: expected 64 digits of base 16"},
		"capitals":    {"version = 1\nuser = \"root\"\nhashes = [\"" + strings.ToUpper(good) + "\"]", "number 1 is no hash"},
		"twice":       {"version = 1\nuser = \"root\"\nhashes = [\"" + good + "\", \"" + good + "\"]", "number 2 is there twice"},
		"too many":    {"version = 1\nuser = \"root\"\nhashes = [" + strings.Repeat("\""+good+"\", ", 65) + "]", "expected at most 64"},
		"unknown key": {"version = 1\nuser = \"root\"\ncodes = [\"" + good + "\"]", ":3: codes: unknown key"},
		"no TOML":     {"version = 1\nuser = \"root\"\nhashes = [\"" + good, ":3"},
	} {
		_, err := Parse("/x/root.toml", "root", []byte(test.text))
		if err == nil || !strings.HasPrefix(err.Error(), "/x/root.toml") || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: %v, expected %q", name, err, test.problem)
		} else if strings.Contains(strings.ToLower(err.Error()), "0a0a") {
			t.Errorf("%s: a value is shown: %v", name, err)
		}
	}
	if err := Save(t.TempDir(), Codes{Version: 1, User: "root"}); err == nil || !strings.Contains(err.Error(), "not written") {
		t.Errorf("a file without hashes: %v", err)
	}
}

// A file that others could have read, written or put there is not believed.
func TestLoadChecksTheFile(t *testing.T) {
	for name, spoil := range map[string]func(dir, path string) error{
		"group may read":          func(_, path string) error { return os.Chmod(path, 0o640) },
		"all may write":           func(_, path string) error { return os.Chmod(path, 0o602) },
		"other owner":             func(_, path string) error { return os.Chown(path, 65534, 0) },
		"link":                    func(dir, path string) error { return errors.Join(os.Rename(path, dir+"/x"), os.Symlink("x", path)) },
		"second name":             func(dir, path string) error { return os.Link(path, dir+"/x") },
		"directory all may write": func(dir, _ string) error { return os.Chmod(dir, 0o777) },
	} {
		dir := filepath.Join(t.TempDir(), "break-glass")
		_, kept := New("root", noon)
		if err := errors.Join(Save(dir, kept), spoil(dir, Path(dir, "root"))); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir, "root"); !errors.Is(err, safefile.ErrUnsafe) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Killed at each step, or on a full disk, Save leaves the old file or the new one.
func TestSaveBrokenOff(t *testing.T) {
	_, next := New("root", noon)
	next.Hashes = []string{strings.Repeat("0a", 32)}
	if dir, ok := testfault.Child(t); ok {
		fmt.Println(Save(dir, next))
		return
	}
	for _, fault := range append(testfault.Steps, testfault.Full) {
		for _, before := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", fault.Name, before), func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "break-glass")
				_, kept := New("root", noon)
				if before {
					if err := Save(dir, kept); err != nil {
						t.Fatal(err)
					}
				}
				said, _ := fault.Run(t, dir)
				if fault.Error != 0 && !strings.Contains(said, fault.Error.Error()) {
					t.Errorf("it says %q", said)
				}
				loaded, err := Load(dir, "root")
				old := !before && errors.Is(err, ErrNone) || before && slices.Equal(loaded.Hashes, kept.Hashes)
				if !old && !slices.Equal(loaded.Hashes, next.Hashes) {
					t.Errorf("left behind: %+v, %v", loaded, err)
				}
				if err := Save(dir, next); err != nil {
					t.Error(err)
				}
				if loaded, err := Load(dir, "root"); err != nil || !slices.Equal(loaded.Hashes, next.Hashes) {
					t.Errorf("the next one: %+v, %v", loaded, err)
				}
				if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
					t.Errorf("%v, %v", entries, err)
				}
			})
		}
	}
}

// A disk that fails keeps the old codes, or it is said that they are worthless: whoever
// makes codes is not shown the new ones then.
func TestSaveOnAFailingDisk(t *testing.T) {
	const variable = "BREAKGLASS_SAVE"
	_, next := New("root", noon)
	next.Hashes = []string{strings.Repeat("0a", 32)}
	if dir := os.Getenv(variable); dir != "" {
		runtime.LockOSThread() // strace counts the calls of each thread
		if os.Getenv(variable+"_SETTLE") != "" {
			fmt.Println(Settle(dir))
			return
		}
		fmt.Println(Save(dir, next))
		return
	}
	for n, isKept := range map[int]bool{1: true, 2: false} {
		dir := t.TempDir()
		_, kept := New("root", noon)
		if err := Save(dir, kept); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace=fsync", "-e", fmt.Sprintf("inject=fsync:error=EIO:when=%d", n),
			os.Args[0], "-test.run=^TestSaveOnAFailingDisk$")
		cmd.Env = append(os.Environ(), variable+"="+dir, "GORACE=atexit_sleep_ms=0")
		said, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(said), "input/output error") {
			t.Fatalf("%v\n%s", err, said)
		}
		loaded, err := Load(dir, "root")
		if err != nil || slices.Equal(loaded.Hashes, kept.Hashes) != isKept || strings.Contains(string(said), "the codes of before are worthless") == isKept || strings.Contains(string(said), "has its new contents") == isKept {
			t.Errorf("the call %d fails: %+v, %v, it says %s", n, loaded, err, said)
		}
		if isKept {
			continue
		}
		// Who finds the codes there already must not take them for kept.
		again := exec.Command(cmd.Args[0], cmd.Args[1:]...)
		again.Args[slices.IndexFunc(again.Args, func(arg string) bool { return strings.HasPrefix(arg, "inject=") })] = "inject=fsync:error=EIO:when=1"
		again.Env = append(cmd.Env, variable+"_SETTLE=1")
		if said, err := again.CombinedOutput(); err != nil || !strings.Contains(string(said), "input/output error") {
			t.Errorf("nothing is said of a disk that still fails: %v\n%s", err, said)
		}
		if err := Settle(dir); err != nil {
			t.Error(err)
		}
	}
}

// A ledger entry that is full would keep everybody out, so what was used long ago is
// forgotten, but nothing of the codes that somebody has.
func TestSpentIsBounded(t *testing.T) {
	codes, kept := New("root", noon)
	var entry ledger.Entry
	if outcome := kept.Verify(codes[0], &entry); outcome != factor.Right {
		t.Fatal(outcome)
	}
	for i := range 2000 {
		entry.UsedHashes = append(entry.UsedHashes, fmt.Sprintf("%064x", i))
	}
	newest := entry.UsedHashes[len(entry.UsedHashes)-1]
	if outcome := kept.Verify(codes[1], &entry); outcome != factor.Right {
		t.Fatal(outcome)
	}
	if len(entry.UsedHashes) != mostUsed || !slices.Contains(entry.UsedHashes, newest) || slices.Contains(entry.UsedHashes, fmt.Sprintf("%064x", 0)) {
		t.Errorf("%d are remembered, from %s on", len(entry.UsedHashes), entry.UsedHashes[0])
	}
	for _, code := range codes[:2] {
		if outcome := kept.Verify(code, &entry); outcome != factor.Used {
			t.Errorf("a code that was used is %v", outcome)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("version = 1\nuser = \"root\"\nhashes = [\"" + strings.Repeat("0a", 32) + "\"]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		codes, err := Parse("/x/root.toml", "root", data)
		if err == nil && (codes.User != "root" || len(codes.Hashes) == 0 || CheckHashes(codes.Hashes) != nil) {
			t.Errorf("%q: %+v", data, codes)
		}
	})
}
