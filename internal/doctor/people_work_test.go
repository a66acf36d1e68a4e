package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/keyring"
)

// Each person more costs so many system calls that have to do with files: opening the
// secret file, looking whose it is, reading it, closing it. A client has no such files.
// Time would tell less: this machine does other things too.
func TestWorkForEachPerson(t *testing.T) {
	if which := os.Getenv(counted); which != "" {
		countedExamination(t, which)
		return
	}
	const few, many = 100, 600
	for kind, most := range map[string]float64{"plain": 4, "encrypted": 4, "client": 0} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			calls := callsFor(t, kind, many) - callsFor(t, kind, few)
			const elsewhere = 0.2 // a larger directory, and larger files of accounts
			if each := float64(calls) / (many - few); each > most+elsewhere || each < most {
				t.Errorf("%.2f system calls for each person more, expected %g", each, most)
			}
		})
	}
}

// counted has the test be the process whose calls are counted: which kind of people, and
// how many.
const counted = "OTPGATE_TEST_COUNTED"

// mark is looked for before and after what counts.
const mark = "/counted-from-here-until-it-is-here-again"

// countedExamination examines a crowd between two marks.
func countedExamination(t *testing.T, which string) {
	kind, number, _ := strings.Cut(which, " ")
	people, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	p := crowded(t, people)
	switch kind {
	case "encrypted":
		encryptAll(t, p)
	case "client":
		p.write("etc/otpgate/otpgate.toml", "[remote]\nservers = [\"otp.example.com\"]\nserver_keys = [\"57DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]\n")
		if err := os.RemoveAll(filepath.Join(p.root, "etc/otpgate/users")); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = os.Lstat(mark)
	found := p.examine()
	_, _ = os.Lstat(mark)
	if kind != "client" && inForce(found) {
		t.Errorf("it is in order, and this was found:\n%s", found)
	}
}

// encryptAll encrypts everybody's secrets.
func encryptAll(t *testing.T, p *patient) {
	_, key := keyring.NewFile("somewhere else")
	p.write("srv/keys/key", string(key))
	p.write("etc/otpgate/otpgate.toml", "[policy]\nrequire = [\"@all\"]\nexempt = [\"backup\", \"@staff\"]\n[secrets]\nkeys = [\"/srv/keys/key\"]\nrequired = true\n")
	dir, err := account.Place{Path: filepath.Join(p.root, "etc/otpgate/users"), Keys: keyring.New(filepath.Join(p.root, "srv/keys/key"))}.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	names, err := dir.Names()
	if err != nil {
		t.Fatal(err)
	}
	done, err := dir.Rewrite(names, account.EncryptPlain, false)
	if err != nil || len(done) != len(names) {
		t.Fatal(len(done), err)
	}
}

// ofFiles is a call that the examination makes, and not the runtime for itself.
var ofFiles = regexp.MustCompile(`^\d+ +(open|close|read|pread|stat|fstat|lstat|newfstat|getdents|lseek|access|faccess|fcntl|flock|statx)\w*\(`)

// callsFor counts the system calls about files that an examination makes.
func callsFor(t *testing.T, kind string, people int) (calls int) {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	command := exec.Command("strace", "-f", "-qq", "-o", trace, "-e", "trace=%file,%desc", "-e", "signal=none", os.Args[0], "-test.run=^TestWorkForEachPerson$")
	command.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", counted, kind, people), "GORACE=atexit_sleep_ms=0")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("strace: %v\n%s", err, output)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	marks := 0
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.Contains(line, mark):
			marks++
		case marks == 1 && ofFiles.MatchString(line):
			calls++
		}
	}
	if marks != 2 {
		t.Fatalf("%d marks in the trace, expected 2", marks)
	}
	return calls
}
