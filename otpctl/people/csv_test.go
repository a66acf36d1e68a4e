package people

import (
	"encoding/csv"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

func readLines(t *testing.T, text string) *csvReader {
	t.Helper()
	r := newCSVReader(config.Default(), nil)
	r.Name = "people.csv"
	if err := r.Read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return r
}

// Codes count at once only for those whom they can reach.
func TestConfirmedByDefault(t *testing.T) {
	for row, want := range map[string]bool{
		"a,,,,": false, "a,totp,,,no": false, "a,totp,,,yes": true, "a,hotp,,,": false, "a,hotp,,,yes": true,
		"a,email,a@example.com,,": true, "a,sms,,+491511234567,": true, "a,email,a@example.com,,no": false,
	} {
		r := readLines(t, "user,kind,email,phone,confirmed\n"+row+"\n")
		if len(r.lines) != 1 || r.lines[0].prepared.Confirmed != want {
			t.Errorf("%s: %+v, %q", row, r.lines, r.Problems)
		}
	}
}

func TestLineTakesTheConfiguration(t *testing.T) {
	r := newCSVReader(config.Default(), nil)
	r.Name = "people.csv"
	r.config.TOTP.Digits, r.config.HOTP.Algorithm = 8, "SHA256"
	if err := r.Read(strings.NewReader("user,kind,period,algorithm\na,totp,60,\nb,hotp,,\nc,hotp,,sha512\n")); err != nil || len(r.Problems) > 0 {
		t.Fatal(err, r.Problems)
	}
	for i, want := range []account.Factor{
		{ID: "phone", Kind: account.TOTP, Digits: 8, Period: 60, Algorithm: "SHA1", Secret: make([]byte, 20)},
		{ID: "token", Kind: account.HOTP, Digits: 6, Algorithm: "SHA256", Secret: make([]byte, 32)},
		{ID: "token", Kind: account.HOTP, Digits: 6, Algorithm: "SHA512", Secret: make([]byte, 64)},
	} {
		got := r.lines[i].prepared.Factor
		if !r.lines[i].made || got.ID != want.ID || got.Kind != want.Kind || got.Digits != want.Digits || got.Period != want.Period ||
			got.Algorithm != want.Algorithm || len(got.Secret) != len(want.Secret) {
			t.Errorf("line %d: %+v", i, got)
		}
	}
	if slices.Equal(r.lines[1].prepared.Factor.Secret, r.lines[2].prepared.Factor.Secret[:32]) {
		t.Error("two lines have one secret")
	}
}

// Lines are numbered as an editor numbers them, also below a cell of two.
func TestLineNumbers(t *testing.T) {
	r := readLines(t, "user,protocols\n\na,\"ssh\nsftp\"\nb,gopher\n")
	if len(r.Problems) != 2 || !strings.HasPrefix(r.Problems[0], "people.csv:3: protocols: ") || !strings.HasPrefix(r.Problems[1], "people.csv:5: protocols: ") {
		t.Errorf("got %q", r.Problems)
	}
}

// Whatever is in the file, a line that passes can be written, and no mistake
// quotes a secret.
func FuzzCSV(f *testing.F) {
	f.Add("user,kind,secret\nalice,totp,JBSWY3DPEHPK3PXP\n")
	f.Add("user,kind,email,confirmed\nalice,email,a@example.com,yes\n")
	f.Add("\ufeffuser,counter,kind\r\n\"a\"\"b\",7,hotp\r\n")
	f.Add("user;kind\nalice;totp\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := newCSVReader(config.Default(), nil)
		r.Name = "people.csv"
		if err := r.Read(strings.NewReader(text)); err != nil {
			// A file that cannot be read at all: nothing of it may be written.
			if len(r.lines) > 0 {
				t.Errorf("%d lines beside %v", len(r.lines), err)
			}
			return
		}
		users := map[string]bool{}
		for _, line := range r.lines {
			p := line.prepared
			if account.CheckName(p.User) != nil || users[p.User] {
				t.Errorf("the name %q passed", p.User)
			}
			users[p.User] = true
			if !p.Factor.Kind.IsSent() && len(p.Factor.Secret) == 0 {
				t.Errorf("no secret: %+v", p)
			}
		}
	})
}

// Somebody whose secret could not be handed over is named, and nobody behind
// is enrolled.
func TestReportStopsWhereItCannotWrite(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	r := report{a: invocation.NewApp(invocation.World{Stdout: io.Discard, Stderr: io.Discard}), out: full, rows: csv.NewWriter(full)}
	err = r.add(enrolledLine{Line: 7, User: "alice", Result: "enrolled", URI: "otpauth://totp/x"}, "")
	var lost lostLine
	if !errors.As(err, &lost) || !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "line 7: alice is enrolled, but") ||
		strings.Contains(err.Error(), "otpauth") {
		t.Errorf("got %v", err)
	}
}

// The example of the documentation is one that works.
func TestDocumentedFile(t *testing.T) {
	text, err := os.ReadFile("../../docs/administration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "# cat people.csv\n")
	example, _, _ = strings.Cut(example, "\n# otpctl")
	r := readLines(t, example)
	if len(r.Problems) > 0 || len(r.lines) != 4 {
		t.Errorf("%d lines, %q", len(r.lines), r.Problems)
	}
	for _, column := range columns {
		if !strings.Contains(string(text), "`"+column+"`") {
			t.Errorf("no word on the column %s", column)
		}
	}
}
