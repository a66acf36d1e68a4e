package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// faultySite is a site with one thing wrong.
type faultySite struct {
	machine.Site
	t      *testing.T
	person *machine.Person
	secret string // the secret file
}

func (m faultySite) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// away moves a path aside and returns where to.
func (m faultySite) away(path string) string {
	m.t.Helper()
	m.must(os.Rename(path, path+"-away"))
	return path + "-away"
}

func (m faultySite) write(path, text string) {
	m.t.Helper()
	m.must(os.WriteFile(path, []byte(text), 0o600))
}

func (m faultySite) socket(path string) {
	m.t.Helper()
	listener, err := net.Listen("unix", path)
	m.must(err)
	m.t.Cleanup(func() { listener.Close() })
}

// otherUID is a uid that is not root's.
const otherUID = 4711

// siteFaults are what can be wrong with a file or a directory.
var siteFaults = map[string]struct {
	make func(m faultySite)
	want []string // in the log line; SECRET, USERS, STATE, CONFIG stand for paths
}{
	"secret is a symbolic link": {func(m faultySite) { m.must(os.Symlink(m.away(m.secret), m.secret)) }, []string{"SECRET", "symbolic link"}},
	"secret is a link to nowhere": {func(m faultySite) { m.away(m.secret); m.must(os.Symlink("/nonexistent", m.secret)) },
		[]string{"SECRET", "symbolic link"}},
	"secret has a second name": {func(m faultySite) { m.must(os.Link(m.secret, m.secret+"-too")) }, []string{"SECRET", "hard links"}},
	"secret is a FIFO":         {func(m faultySite) { m.away(m.secret); m.must(unix.Mkfifo(m.secret, 0o600)) }, []string{"SECRET", "FIFO"}},
	"secret is a directory":    {func(m faultySite) { m.away(m.secret); m.must(os.Mkdir(m.secret, 0o700)) }, []string{"SECRET", "directory"}},
	"secret is a socket":       {func(m faultySite) { m.away(m.secret); m.socket(m.secret) }, []string{"SECRET"}},
	"secret is a device": {func(m faultySite) {
		m.away(m.secret)
		m.must(unix.Mknod(m.secret, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))))
	}, []string{"SECRET"}},
	"secret of another user":    {func(m faultySite) { m.must(os.Chown(m.secret, otherUID, 0)) }, []string{"SECRET", "owned by uid 4711"}},
	"secret readable for group": {func(m faultySite) { m.must(os.Chmod(m.secret, 0o640)) }, []string{"SECRET", "mode 0640"}},
	"secret readable for all":   {func(m faultySite) { m.must(os.Chmod(m.secret, 0o604)) }, []string{"SECRET", "mode 0604"}},
	"secret is huge":            {func(m faultySite) { m.must(os.Truncate(m.secret, 1<<30)) }, []string{"SECRET", "bytes"}},
	"secret is empty":           {func(m faultySite) { m.must(os.Truncate(m.secret, 0)) }, []string{"SECRET", "version"}},
	"secret is cut off":         {func(m faultySite) { m.must(os.Truncate(m.secret, 100)) }, []string{"SECRET:"}},
	"secret is no TOML":         {func(m faultySite) { m.write(m.secret, "version = 1\nuser = \n") }, []string{"SECRET:2", "user"}},
	"secret is binary":          {func(m faultySite) { m.write(m.secret, "\x00\xff\x1b[31m") }, []string{"SECRET:1"}},
	"secret has an unknown key": {func(m faultySite) { m.write(m.secret, "enable = false\n"+m.person.SecretFile()) }, []string{"SECRET:1: enable", "unknown key"}},
	"secret has a wrong type":   {func(m faultySite) { m.write(m.secret, "enabled = 1\n"+m.person.SecretFile()) }, []string{"SECRET:1: enabled"}},
	"secret is not base32": {func(m faultySite) {
		m.write(m.secret, strings.Replace(m.person.SecretFile(), m.person.Secret, "0189", 1))
	}, []string{"SECRET:7: factor", "secret", "base32"}},
	"secret is somebody else's": {func(m faultySite) {
		m.write(m.secret, strings.Replace(m.person.SecretFile(), m.person.Name, "mallory", 1))
	}, []string{"SECRET:2: user"}},
	"users writable by others": {func(m faultySite) { m.must(os.Chmod(m.Users, 0o777)) }, []string{"USERS", "0777"}},
	"users of another user":    {func(m faultySite) { m.must(os.Chown(m.Users, otherUID, 0)) }, []string{"USERS", "owned by uid 4711"}},
	"users is missing":         {func(m faultySite) { m.away(m.Users) }, []string{"USERS", "no such file"}},
	"users is a symbolic link": {func(m faultySite) { m.must(os.Symlink(m.away(m.Users), m.Users)) }, []string{"USERS", "symbolic link"}},
	"users is a file":          {func(m faultySite) { m.away(m.Users); m.write(m.Users, "") }, []string{"USERS", "not a directory"}},
	"above users writable":     {func(m faultySite) { m.must(os.Chmod(filepath.Dir(m.Users), 0o777)) }, []string{"lets others write"}},
	"state writable by others": {func(m faultySite) { m.must(os.Chmod(m.State, 0o777)) }, []string{"STATE", "0777"}},
	"state of another user":    {func(m faultySite) { m.must(os.Chown(m.State, otherUID, 0)) }, []string{"STATE", "owned by uid 4711"}},
	"state is a symbolic link": {func(m faultySite) { m.must(os.Symlink(m.away(m.State), m.State)) }, []string{"STATE", "symbolic link"}},
	"state is a file":          {func(m faultySite) { m.away(m.State); m.write(m.State, "") }, []string{"STATE", "not a directory"}},
	"config is missing":        {func(m faultySite) { m.away(m.Config) }, []string{"CONFIG", "no such file"}},
	"config writable":          {func(m faultySite) { m.must(os.Chmod(m.Config, 0o666)) }, []string{"CONFIG", "mode 0666"}},
	"config of another user":   {func(m faultySite) { m.must(os.Chown(m.Config, otherUID, 0)) }, []string{"CONFIG", "owned by uid 4711"}},
	"config is a FIFO":         {func(m faultySite) { m.away(m.Config); m.must(unix.Mkfifo(m.Config, 0o644)) }, []string{"CONFIG", "FIFO"}},
	"config is a symbolic link": {func(m faultySite) { m.must(os.Symlink(m.away(m.Config), m.Config)) },
		[]string{"CONFIG", "symbolic link"}},
	"config has an unknown key":      {func(m faultySite) { m.Configure(m.t, "[policy]\nrequires = []\n") }, []string{"CONFIG:2: policy.requires", "unknown key"}},
	"config has an unknown protocol": {func(m faultySite) { m.Configure(m.t, "[policy]\nprotocols = [\"shh\"]\n") }, []string{"CONFIG:2: policy.protocols"}},
	"config is no TOML":              {func(m faultySite) { m.write(m.Config, "[policy\n") }, []string{"CONFIG:1"}},
}

// What is wrong with a file denies, at once, with a log line that says which
// file and what was expected.
func TestFiles(t *testing.T) {
	t.Parallel()
	for name, test := range siteFaults {
		for _, path := range machine.Paths {
			t.Run(string(path)+"/"+name, func(t *testing.T) {
				t.Parallel()
				p := machine.WithoutUser("fil")
				m := faultySite{Site: path.NewSite(t, "files-"+p.Name, ""), t: t, person: p}
				m.secret = filepath.Join(m.Users, p.Name+".toml")
				p.Enroll(t, m.Users)
				m.CodeOnly(t, m.Name, "protocol=ssh")
				paths := strings.NewReplacer("SECRET", m.secret, "USERS", m.Users, "STATE", m.State, "CONFIG", m.Config)
				test.make(m)
				if verdict := plainLogin(t, m.Name, p, p.Code(t, 0)); verdict == hosts.PAMSuccess {
					t.Errorf("expected to be denied, found %d", verdict)
				}
				// That it does not wait for anything is said by the line: a
				// dialogue that ran out of time has another one.
				want := []string{"verdict=fault"}
				for _, text := range test.want {
					want = append(want, paths.Replace(text))
				}
				expectAudit(t, p, want...)
			})
		}
	}
}

// A line in pam.d that is not understood denies and says so.
func TestModuleLine(t *testing.T) {
	onBothPaths(t, "line", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		for name, test := range map[string]struct {
			arguments []string
			want      string
		}{
			"unknown argument":   {[]string{"nullok"}, "nullok"},
			"misspelt argument":  {[]string{"Debug"}, "Debug"},
			"unknown protocol":   {[]string{"protocol=shh"}, "shh"},
			"relative config":    {[]string{"config=otpgate.toml"}, "absolute path"},
			"two configs":        {[]string{"config=" + here.Config}, "only once"},
			"relative verifier":  {[]string{"verifier=verifier.sock"}, "absolute path"},
			"misspelt off":       {[]string{"verifier=Off"}, "absolute path"},
			"two verifiers":      {[]string{"verifier=off"}, "only once"},
			"verifier too long":  {[]string{"verifier=/" + strings.Repeat("x", 107)}, "107 bytes"},
			"no timeout":         {[]string{"timeout=0"}, "timeout="},
			"timeout of an hour": {[]string{"timeout=3600"}, "timeout="},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := machine.WithoutUser("lin").Enroll(t, here.Users)
				service := "line-" + p.Name
				here.CodeOnly(t, service, test.arguments...)
				if verdict := plainLogin(t, service, p, p.Code(t, 0)); verdict == hosts.PAMSuccess {
					t.Error("expected to be denied, found PAM_SUCCESS")
				}
				machine.Log.Expect(t, service, test.want)
			})
		}
	})
}

// A module that is not whole denies and says so. This is about forked cores
// only: on the resident path nothing looks for one, and every test of that
// path shows so.
func TestCoreFile(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "core", "")
	library, err := os.ReadFile(machine.Module)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		core  []byte
		owner int
		want  string
	}{
		"missing":         {nil, 0, "pam_otpgate_core.so"},
		"not loadable":    {[]byte("no library"), 0, "cannot be loaded"},
		"of another user": {[]byte("no library"), otherUID, "pam_otpgate_core.so"},
		"another library": {library, 0, "otpgate_core_serve"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := machine.WithoutUser("cor").Enroll(t, here.Users)
			service := "core-" + p.Name
			line := front(t, t.TempDir(), test.core, test.owner) + " " + strings.Join(here.Arguments(), " ")
			machine.WriteService(t, service, "auth required pam_permit.so\n"+line+"\naccount required pam_permit.so\n")
			if verdict := plainLogin(t, service, p, p.Code(t, 0)); verdict == hosts.PAMSuccess {
				t.Error("expected to be denied, found PAM_SUCCESS")
			}
			machine.Log.Expect(t, service, test.want)
		})
	}
}

// front puts a copy of the front into dir, beside a core of that owner if
// there is one, and returns its line in pam.d.
func front(t *testing.T, dir string, core []byte, owner int) string {
	t.Helper()
	if output, err := exec.Command("cp", machine.Module, dir).CombinedOutput(); err != nil {
		t.Fatalf("copy the front: %v: %s", err, output)
	}
	if core != nil {
		path := dir + "/pam_otpgate_core.so"
		if err := errors.Join(os.WriteFile(path, core, 0o644), os.Chown(path, owner, 0)); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("auth required %s/pam_otpgate.so", dir)
}
