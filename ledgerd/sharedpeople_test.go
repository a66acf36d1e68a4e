package main

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// peopleSite are servers that have their people in etcd.
type peopleSite struct {
	cluster *etcdtest.Cluster
	servers []*verifier
	keys    string // the directory of their keys
}

// newPeopleSite has that many servers. Logins there wait that long for etcd.
func newPeopleSite(t *testing.T, members, servers int, timeout string) *peopleSite {
	t.Helper()
	s := &peopleSite{cluster: etcdtest.Start(t, members), keys: t.TempDir()}
	if err := os.Chmod(s.keys, 0o700); err != nil {
		t.Fatal(err)
	}
	s.newKey(t, "first")
	for n := range servers {
		v := newVerifier(t, s.cluster, "server"+string(rune('1'+n)), timeout,
			"people = true\n"+s.tables())
		v.must(t, "ledger", "move", "--to", "etcd")
		s.servers = append(s.servers, v)
	}
	return s
}

func (s *peopleSite) key(name string) string { return filepath.Join(s.keys, name) }

func (s *peopleSite) newKey(t *testing.T, name string) {
	t.Helper()
	_, data := keyring.NewFile()
	if err := os.WriteFile(s.key(name), append(data, "# There is a spare copy elsewhere.\n"...), 0o400); err != nil {
		t.Fatal(err)
	}
}

// must is otpctl where it is to succeed.
func (m *machine) must(t *testing.T, arguments ...string) string {
	t.Helper()
	stdout, stderr, status := m.otpctl(t, arguments...)
	if status != 0 {
		t.Fatalf("otpctl %s: status %d\n%s%s", strings.Join(arguments, " "), status, stdout, stderr)
	}
	return stdout
}

// enrolls gives somebody a device by otpctl, on that server, and returns its URI.
func (m *machine) enrolls(t *testing.T, user string, more ...string) string {
	t.Helper()
	var made struct{ URI string }
	if err := json.Unmarshal([]byte(m.must(t, append([]string{"enroll", user, "--json"}, more...)...)), &made); err != nil {
		t.Fatal(err)
	}
	m.must(t, "confirm", user, codeOf(t, made.URI, 0))
	return made.URI
}

// codeOf is what a device shows steps from now.
func codeOf(t *testing.T, uri string, steps int) string {
	t.Helper()
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := totp.GenerateCodeCustom(key.Secret(), time.Now().Add(time.Duration(steps)*period*time.Second),
		totp.ValidateOpts{Period: period, Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

func (v *verifier) wants(t *testing.T, user, answer string, want wire.Verdict) {
	t.Helper()
	if verdict, told, err := v.login(user, answer); err != nil || verdict != want {
		t.Errorf("%s: %v, %q, %v, expected %v", user, verdict, told, err, want)
	}
}

// Whom an admin enrolls on one server is asked for a code at the next login on another,
// which is good there, and once on all of them. Whom an admin takes away is not asked.
func TestPeopleOnTwoServers(t *testing.T) {
	s := newPeopleSite(t, 1, 2, "1m")
	one, other := s.servers[0], s.servers[1]
	other.wants(t, "daemon", "none", wire.Ignore)
	uri := one.enrolls(t, "daemon")
	next := codeOf(t, uri, 1)
	other.wants(t, "daemon", next, wire.Accept)
	one.wants(t, "daemon", next, wire.MaxTries)
	if found, err := os.ReadDir(one.dir + "/users"); err != nil || len(found) > 0 {
		t.Errorf("there are files too: %v, %v", found, err)
	}
	parsed, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	if inEtcd := s.cluster.Etcdctl(t, "get", "", "--prefix"); strings.Contains(inEtcd, parsed.Query().Get("secret")) || !strings.Contains(inEtcd, "user = 'daemon'") {
		t.Errorf("etcd has\n%s", inEtcd)
	}
	other.must(t, "disable", "daemon")
	one.wants(t, "daemon", "none", wire.Ignore)
	other.must(t, "remove", "daemon", "--yes")
	one.wants(t, "daemon", "none", wire.Ignore)
	for _, v := range s.servers {
		if stdout := v.must(t, "ledger", "check"); !strings.HasPrefix(stdout, "All can be used: ") {
			t.Errorf("%s", stdout)
		}
	}
}

// enrolling sets up an app at the login, and gives its first code.
type enrolling struct {
	t    *testing.T
	told strings.Builder
	// wait, if set, returns when the code may be given.
	wait func()
}

func (e *enrolling) Ask(_ wire.Style, text string) (wire.Reply, error) {
	answer := ""
	switch {
	case strings.HasPrefix(text, "Press Enter to set it up"):
		answer = "key"
	case strings.HasPrefix(text, "Verification code"):
		if e.wait != nil {
			e.wait()
		}
		answer = codeOf(e.t, e.uri(), 0)
	}
	return wire.Reply{Status: wire.Answered, Text: answer}, nil
}

func (e *enrolling) Tell(_ wire.Style, text string) error {
	e.told.WriteString(text + "\n")
	return nil
}

func (e *enrolling) Tail(int, int, string) (string, bool, error) { return "", false, nil }

// uri is that of the key that was shown.
func (e *enrolling) uri() string {
	_, key, _ := strings.Cut(e.told.String(), "Key: ")
	key, _, _ = strings.Cut(key, "\n")
	return "otpauth://totp/example.com:games?issuer=example.com&period=300&secret=" + strings.ReplaceAll(strings.TrimSpace(key), " ", "")
}

// Whoever enrolls at a login on one server is enrolled on the other.
func TestEnrolledAtALogin(t *testing.T) {
	s := newPeopleSite(t, 1, 2, "1m")
	one, other := s.servers[0], s.servers[1]
	e := &enrolling{t: t}
	if verdict, err := one.loginBy("games", e); err != nil || verdict != wire.Accept {
		t.Fatalf("%v, %v\n%s", verdict, err, &e.told)
	}
	if stdout := other.must(t, "status", "games", "--json"); !strings.Contains(stdout, `"enrolled"`) {
		t.Errorf("%s", stdout)
	}
	other.wants(t, "games", codeOf(t, e.uri(), 1), wire.Accept)
}

// Of two who enroll as the same person at two servers at once one has enrolled, with the
// device that was shown there, and the other one is denied.
func TestEnrolledTwiceAtOnce(t *testing.T) {
	s := newPeopleSite(t, 1, 2, "1m")
	for range 5 {
		var shown sync.WaitGroup
		shown.Add(2)
		both := [2]*enrolling{}
		verdicts := [2]wire.Verdict{}
		var all sync.WaitGroup
		for n, v := range s.servers {
			both[n] = &enrolling{t: t, wait: sync.OnceFunc(func() { shown.Done(); shown.Wait() })}
			all.Go(func() {
				var err error
				if verdicts[n], err = v.loginBy("games", both[n]); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		won := 0
		if verdicts[1] == wire.Accept {
			won = 1
		}
		if verdicts[won] != wire.Accept || verdicts[1-won] != wire.Deny {
			t.Fatalf("%v\n%s\n%s", verdicts, &both[0].told, &both[1].told)
		}
		s.servers[1-won].wants(t, "games", codeOf(t, both[won].uri(), 1), wire.Accept)
		s.servers[0].must(t, "remove", "games", "--yes")
	}
}

// Without a majority of etcd's members nobody passes for somebody who has not enrolled.
// Break-glass codes and exemptions hold.
func TestPeopleWithoutMajority(t *testing.T) {
	s := newPeopleSite(t, 3, 1, "1m")
	v := s.servers[0]
	uri := v.enrolls(t, "daemon")
	codes, kept := breakglass.New("root", time.Now())
	if err := breakglass.Save(v.dir+"/break-glass", kept); err != nil {
		t.Fatal(err)
	}
	for _, member := range s.cluster.Members[:2] {
		member.Kill()
	}
	v.replace(t, `timeout = "1m"`, `timeout = "3s"`) // before, a busy machine would need longer
	for user, answer := range map[string]string{"daemon": codeOf(t, uri, 1), "bin": "none", "games": "none", "nobody-at-all": "none"} {
		v.wants(t, user, answer, wire.Fault)
	}
	v.wants(t, "root", codes[0], wire.Accept)
	v.wants(t, "backup", "", wire.Ignore)
	for _, command := range [][]string{{"list"}, {"status", "daemon"}, {"enroll", "bin", "--json"}, {"remove", "daemon", "--yes"}} {
		if stdout, stderr, status := v.otpctl(t, command...); status != 1 || strings.Contains(stdout+stderr, "no secret file") {
			t.Errorf("%q: status %d\n%s%s", command, status, stdout, stderr)
		}
	}
	for _, member := range s.cluster.Members[:2] {
		member.Start()
	}
	s.cluster.Ready(t)
}

// denies waits until the server knows that people are in etcd: a login that is not told in a
// second goes on.
func (v *verifier) denies(t *testing.T, user string) {
	t.Helper()
	testwait.Until(t, user+" is denied", func() bool {
		verdict, _, err := v.login(user, "")
		return err == nil && verdict == wire.Fault
	})
}

// A server that has the ledger of others who have their people there too, and files of its
// own, lets in nobody for not having enrolled in those: what an admin runs there says so. Where
// it knew of nobody in etcd it notices. What it knows stands while etcd is away. A server that
// never knew it keeps nobody out then who has not enrolled.
func TestPeopleElsewhere(t *testing.T) {
	s := newPeopleSite(t, 1, 1, "1m")
	early := newVerifier(t, s.cluster, "early", "1m", s.tables())
	early.must(t, "ledger", "move", "--to", "etcd")
	own := early.enrolls(t, "bin")
	early.wants(t, "daemon", "", wire.Ignore)
	s.servers[0].enrolls(t, "daemon")
	early.denies(t, "daemon")
	other := newVerifier(t, s.cluster, "other", "1m")
	other.denies(t, "daemon")
	for _, v := range []*verifier{early, other} {
		v.denies(t, "games")
		v.wants(t, "backup", "", wire.Ignore)
	}
	early.wants(t, "bin", codeOf(t, own, 1), wire.Accept)
	if _, stderr, status := other.otpctl(t, "ledger", "move", "--to", "etcd"); status != 0 || !strings.Contains(stderr, "ledger.people") {
		t.Errorf("moved: status %d: %s", status, stderr)
	}
	if _, stderr, status := other.otpctl(t, "ledger", "status"); status != 1 || !strings.Contains(stderr, "ledger.people") {
		t.Errorf("status %d: %s", status, stderr)
	}
	for v, want := range map[*verifier]bool{s.servers[0]: false, other: true} {
		if found := v.findings(t); (found["people-elsewhere"] != "") != want {
			t.Errorf("the doctor finds %q", found)
		}
	}
	s.cluster.Members[0].Kill()
	late := newVerifier(t, s.cluster, "late", "1m")
	late.wants(t, "daemon", "", wire.Ignore)
	late.wants(t, "bin", "", wire.Ignore)
	for _, v := range []*verifier{early, other} {
		v.denies(t, "games")
	}
}

// otpctl's commands work on people in etcd as on files.
func TestCommandsOnPeople(t *testing.T) {
	s := newPeopleSite(t, 1, 2, "1m")
	one, other := s.servers[0], s.servers[1]
	one.enrolls(t, "daemon")
	one.enrolls(t, "gone", "--no-user-check")
	if stdout := other.must(t, "list"); !strings.Contains(stdout, "daemon") || !strings.Contains(stdout, "gone") {
		t.Errorf("%s", stdout)
	}
	if stdout := other.must(t, "status", "daemon", "--json"); !strings.Contains(stdout, `"etcd:otpgate/1/people/daemon/daemon"`) {
		t.Errorf("%s", stdout)
	}
	s.newKey(t, "second")
	for _, v := range s.servers {
		text, err := os.ReadFile(v.config)
		if err == nil {
			keys := "keys = ['" + s.key("second") + "', '" + s.key("first") + "']"
			err = os.WriteFile(v.config, []byte(strings.Replace(string(text), "keys = ['"+s.key("first")+"']", keys, 1)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if stdout := one.must(t, "secrets", "rotate"); stdout != "2 secrets of 2 people encrypted with the first key.\n" {
		t.Errorf("%s", stdout)
	}
	if stdout, stderr, status := one.otpctl(t, "secrets", "decrypt"); status != 1 || !strings.Contains(stderr, "in etcd") {
		t.Errorf("decrypt: status %d\n%s%s", status, stdout, stderr)
	}
	other.must(t, "set", "gone", "--email", "gone@example.com")
	other.must(t, "rename", "gone", "sys")
	if stdout, stderr, status := one.otpctl(t, "status", "gone"); status != 1 || !strings.Contains(stderr, "no secret file") {
		t.Errorf("the former name: status %d\n%s%s", status, stdout, stderr)
	}
	if stdout := one.must(t, "status", "sys", "--json"); !strings.Contains(stdout, `"gone@example.com"`) {
		t.Errorf("%s", stdout)
	}
	one.must(t, "remove", "sys", "--yes")
	if stdout := other.must(t, "list", "--json"); strings.Contains(stdout, `"sys"`) || strings.Contains(stdout, `"gone"`) {
		t.Errorf("%s", stdout)
	}
	if _, err := os.Stat(other.dir + "/users/daemon.toml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file: %v", err)
	}
}
