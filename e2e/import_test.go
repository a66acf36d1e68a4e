package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// googleOf has the person make a file with the real google-authenticator, and
// returns the file and its scratch codes.
func googleOf(t *testing.T, p *machine.Person, options ...string) (path string, scratch []string) {
	t.Helper()
	path = filepath.Join("/home", p.Name, ".google_authenticator")
	cmd := p.As(exec.Command("google-authenticator", append(options, "--force", "--no-confirm", "--quiet", "--qr-mode=NONE")...))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("google-authenticator: %v: %s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	p.Secret = lines[0]
	for _, line := range lines[1:] {
		if !strings.HasPrefix(line, `"`) {
			scratch = append(scratch, line)
		}
	}
	if len(scratch) != 5 {
		t.Fatalf("expected 5 scratch codes, found %d", len(scratch))
	}
	machine.Keep(append(scratch, p.Secret)...)
	return path, scratch
}

// counterCode is what a token shows at a counter, by an independent library.
func counterCode(t *testing.T, p *machine.Person, counter uint64) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(p.Secret, counter, hotp.ValidateOpts{Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	machine.Keep(code)
	return code
}

// oldIn logs in at a service of the old module, or fails to.
func oldIn(t *testing.T, service string, p *machine.Person, code string, want bool) {
	t.Helper()
	if in := plainLogin(t, service, p, code) == hosts.PAMSuccess; in != want {
		t.Fatalf("the old module: %s in: %v, want %v", p.Name, in, want)
	}
}

// newIn does so at a service with otpgate.
func newIn(t *testing.T, here machine.Site, p *machine.Person, code string, want bool) {
	t.Helper()
	if in := plainLogin(t, here.Name, p, code) == hosts.PAMSuccess; in != want {
		t.Errorf("%s in: %v, want %v\n%s", p.Name, in, want, machine.Text(machine.Log.Lines("otpgate", "user="+p.Name+" ")))
	}
}

// looks is how a file looks from outside and inside, but for when it was read.
func looks(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	data, err := os.ReadFile(path)
	if err := errors.Join(err, unix.Lstat(path, &st)); err != nil {
		t.Fatal(err)
	}
	st.Atim = unix.Timespec{}
	return fmt.Sprintf("%+v %x", st, sha256.Sum256(data))
}

// broughtAlong runs an import, which must not fail, and says what it reported of
// each person.
func broughtAlong(t *testing.T, here machine.Site, args ...string) map[string]string {
	t.Helper()
	cmd := exec.Command(machine.Files+"/otpctl", append([]string{"--config", here.Deciding(), "import"}, append(args, "--json")...)...)
	out, err := cmd.Output()
	var records []struct {
		User, Result string
		Recovery     int `json:"recovery_left"`
		Factors      []struct{ ID string }
	}
	if err := json.Unmarshal(out, &records); err != nil {
		t.Fatalf("otpctl %q: %v in %s", args, err, out)
	}
	if err != nil {
		t.Errorf("otpctl %q: %v: %s", args, err, out)
	}
	said := map[string]string{}
	for _, r := range records {
		said[r.User] = fmt.Sprintf("%s %v %d", r.Result, r.Factors, r.Recovery)
	}
	return said
}

// expectBrought imports from files, which must stay as they are, and compares
// what is reported of each person.
func expectBrought(t *testing.T, here machine.Site, want map[*machine.Person]string, files []string, args ...string) {
	t.Helper()
	var before []string
	for _, path := range files {
		before = append(before, looks(t, path))
	}
	said := broughtAlong(t, here, args...)
	for p, want := range want {
		if said[p.Name] != want {
			t.Errorf("%s: %q, want %q", p.Name, said[p.Name], want)
		}
	}
	for i, path := range files {
		if after := looks(t, path); after != before[i] {
			t.Errorf("%s was\n%s and is\n%s", path, before[i], after)
		}
	}
}

// People come along from real files of google-authenticator's, after logins
// through the real module: the next code of each is good, those that were used
// there are not, scratch codes included.
func TestImportGoogleAuthenticator(t *testing.T) {
	onBothPaths(t, "google", "[totp]\nwindow = 3\n", func(t *testing.T, here machine.Site) {
		old := "old-" + here.Name
		machine.WriteService(t, old, "auth required pam_google_authenticator.so\naccount required pam_permit.so\n")
		here.CodeOnly(t, here.Name, "protocol=login")
		timed, counted, again := machine.NewPerson(t, "tim"), machine.NewPerson(t, "cal"), machine.NewPerson(t, "ron")
		timedFile, timedScratch := googleOf(t, timed, "-t", "-d", "-r", "9", "-R", "30", "-w", "3")
		countedFile, countedScratch := googleOf(t, counted, "-c", "-u", "-w", "3")
		againFile, _ := googleOf(t, again, "-t", "-D", "-u", "-w", "3")

		oldIn(t, old, timed, timedScratch[0], true)
		oldIn(t, old, timed, timedScratch[0], false)
		used := timed.Code(t, 0)
		oldIn(t, old, timed, used, true)
		oldIn(t, old, timed, used, false)
		oldIn(t, old, counted, countedScratch[2], true)
		oldIn(t, old, counted, counterCode(t, counted, 2), true)
		reused := again.Code(t, 0)
		oldIn(t, old, again, reused, true)

		expectBrought(t, here, map[*machine.Person]string{timed: "imported [{phone}] 4", counted: "imported [{token}] 4", again: "imported [{phone}] 5"},
			[]string{timedFile, countedFile, againFile}, "google-authenticator", "--home-dirs")

		newIn(t, here, timed, used, false)
		newIn(t, here, timed, timedScratch[0], false)
		newIn(t, here, timed, countedScratch[0], false)
		newIn(t, here, timed, timed.Code(t, 1), true)
		newIn(t, here, timed, timedScratch[1], true)
		newIn(t, here, timed, timedScratch[1], false)
		newIn(t, here, counted, counterCode(t, counted, 1), false)
		newIn(t, here, counted, counterCode(t, counted, 2), false)
		newIn(t, here, counted, countedScratch[2], false)
		newIn(t, here, counted, counterCode(t, counted, 3), true)
		newIn(t, here, counted, countedScratch[0][:4]+"-"+countedScratch[0][4:], true)
		newIn(t, here, counted, countedScratch[0], false)
		// What is used there meanwhile is used here after another import, which
		// brings nothing back.
		oldIn(t, old, timed, timedScratch[4], true)
		broughtAlong(t, here, "google-authenticator", "--home-dirs", "--user", timed.Name, "--replace")
		newIn(t, here, timed, timedScratch[4], false)
		newIn(t, here, timed, timedScratch[1], false)
		newIn(t, here, timed, timedScratch[2], true)
		// The third one's file says nothing of what was used.
		newIn(t, here, again, reused, false)
		newIn(t, here, again, again.Code(t, 3), true)
	})
}

// One scratch code in many logins at once lets in once.
func TestImportedScratchCodeOnce(t *testing.T) {
	onAllPaths(t, "scratch", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.CodeOnly(t, here.Name, "protocol=login")
		p := machine.NewPerson(t, "sam")
		_, scratch := googleOf(t, p, "-t", "-d", "-u", "-w", "3")
		if said := broughtAlong(t, here, "google-authenticator", "--home-dirs", "--user", p.Name); said[p.Name] != "imported [{phone}] 5" {
			t.Fatalf("%q", said)
		}
		in := 0
		for _, r := range pamhost(t, here.Name, p, scratch[3], "--threads", "16") {
			if r.Result == "PAM_SUCCESS" {
				in++
			}
		}
		if in != 1 {
			t.Errorf("expected one of 16 in, found %d", in)
		}
	})
}

// A scratch code goes behind a password with its dash, and a password that ends
// in digits keeps them when a code of the app is behind it.
func TestImportedScratchCodeBehindPassword(t *testing.T) {
	t.Parallel()
	here := machine.Resident.NewSite(t, "scratch-ftp", "[totp]\nwindow = 3\n") // google-authenticator's steps are short
	here.AroundPassword(t, here.Name, debianPassword, "protocol=ftp")
	server := hosts.StartVSFTPD(t, here.Name)
	p := machine.WithoutUser("fay")
	p.Password += "42"
	machine.Keep(p.Password)
	p.Add(t)
	_, scratch := googleOf(t, p, "-t", "-d", "-u", "-w", "3")
	broughtAlong(t, here, "google-authenticator", "--home-dirs", "--user", p.Name)
	field := fieldTest{here, here.Name, "ftp", ""}
	dashed := scratch[0][:4] + "-" + scratch[0][4:]
	field.try(t, server, p, p.Password+dashed, true, "verdict=accepted", "rule=recovery")
	field.try(t, server, p, p.Password+dashed, false, "verdict=denied", "1 used before")
	field.try(t, server, p, p.Password+p.Code(t, 0), true, "verdict=accepted", "rule=totp:phone")
}

// oathKey is a key for pam_oath, in hexadecimal digits.
func oathKey(p *machine.Person) string {
	sum := sha256.Sum256([]byte(p.Secret))
	machine.Keep(hex.EncodeToString(sum[:20]))
	return hex.EncodeToString(sum[:20])
}

// oathtool is the real one's answer.
func oathtool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("oathtool", args...).Output()
	if err != nil {
		t.Fatalf("oathtool %q: %v", args, err)
	}
	code := strings.TrimSpace(string(out))
	machine.Keep(code)
	return code
}

// People come along from a usersfile after logins through the real pam_oath.
func TestImportOath(t *testing.T) {
	onBothPaths(t, "oath", "", func(t *testing.T, here machine.Site) {
		old, file := "old-"+here.Name, "/etc/"+here.Name+".oath"
		machine.WriteService(t, old, "auth required pam_oath.so usersfile="+file+" window=20\naccount required pam_permit.so\n")
		here.CodeOnly(t, here.Name, "protocol=login")
		counted, eight, timed, fresh, pin := machine.NewPerson(t, "hal"), machine.NewPerson(t, "eve"), machine.NewPerson(t, "tia"), machine.NewPerson(t, "nel"), machine.NewPerson(t, "pia")
		at := func(p *machine.Person, counter int, digits string) string {
			return oathtool(t, "--hotp", "--counter", fmt.Sprint(counter), "--digits", digits, oathKey(p))
		}
		var text strings.Builder
		text.WriteString("# made by hand\n")
		for _, line := range []struct {
			kind string
			p    *machine.Person
		}{{"HOTP", counted}, {"HOTP/E/8", eight}, {"HOTP/T30/6", timed}, {"HOTP", fresh}} {
			fmt.Fprintf(&text, "%s\t%s\t-\t%s\n", line.kind, line.p.Name, oathKey(line.p))
		}
		if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}

		oldIn(t, old, counted, at(counted, 2, "6"), true)
		oldIn(t, old, counted, at(counted, 2, "6"), false)
		oldIn(t, old, eight, at(eight, 0, "8"), true)
		// The module writes down when a code was given, not which one it was: it must
		// be in the step that it is of.
		used, given := "", int64(0)
		for step := int64(-1); step != given; given = stepNow() {
			machine.Until(t, "a step of its own", func() bool { return stepNow() != given })
			step = stepNow()
			used = oathtool(t, "--totp", oathKey(timed))
			oldIn(t, old, timed, used, true)
		}
		expectBrought(t, here, map[*machine.Person]string{counted: "imported [{token}] 0", eight: "imported [{token}] 0", timed: "imported [{phone}] 0", fresh: "imported [{token}] 0"},
			[]string{file}, "oath", file)

		newIn(t, here, counted, at(counted, 1, "6"), false)
		newIn(t, here, counted, at(counted, 2, "6"), false)
		newIn(t, here, counted, at(counted, 3, "6"), true)
		newIn(t, here, eight, at(eight, 0, "8"), false)
		newIn(t, here, eight, at(eight, 1, "8"), true)
		newIn(t, here, timed, used, false)
		newIn(t, here, timed, oathtool(t, "--totp", "--now", time.Now().Add(30*time.Second).UTC().Format("2006-01-02 15:04:05 UTC"), oathKey(timed)), true)
		newIn(t, here, fresh, at(fresh, 0, "6"), true)

		// A PIN cannot come along, and nobody comes along by half.
		line := fmt.Sprintf("HOTP\t%s\t-\t%s\nHOTP\t%s\t2468\t%s\n", pin.Name, oathKey(pin), pin.Name, oathKey(fresh))
		if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(machine.Files+"/otpctl", "--config", here.Deciding(), "import", "oath", file)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "it has a PIN") || strings.Contains(string(out), "2468") {
			t.Errorf("%v: %s", err, out)
		}
		if files, err := filepath.Glob(here.Users + "/" + pin.Name + "*"); err != nil || slices.Contains(files, here.Users+"/"+pin.Name+".toml") {
			t.Errorf("found %v, %v", files, err)
		}
	})
}

// stepNow is the number of the step of 30 seconds that it is.
func stepNow() int64 { return time.Now().Unix() / 30 }
