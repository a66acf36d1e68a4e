// Package systemd_test looks at what is shipped for systemd.
package systemd_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const service = "otpgate-verifierd.service"

const sftpService = "otpgate-sftpd.service"

const (
	gatewayService        = "otpgate-gateway.service"
	ledgerService         = "otpgate-ledgerd.service"
	portalVerifierService = "otpgate-verifierd-portal.service"
	pageService           = "otpgate-portal.service"
	restoreService        = "otpgate-pam-restore.service"
	doctorService         = "otpgate-doctor.service"
	doctorTimer           = "otpgate-doctor.timer"
	remindService         = "otpgate-remind.service"
	remindTimer           = "otpgate-remind.timer"
)

// exposed is the most that systemd's own judgement may say, of 10.
const exposed = 2.0

func TestServiceIsConfined(t *testing.T) { confined(t, service, exposed) }

// The SFTP server becomes people and reaches their files, which costs most of
// the points; sshd's own unit has 9.6.
func TestSFTPServiceIsConfined(t *testing.T) { confined(t, sftpService, 5.0) }

// The gateway faces the network, which is all that it may do.
func TestGatewayServiceIsConfined(t *testing.T) { confined(t, gatewayService, exposed) }

// Nor may what reaches etcd do anything else.
func TestLedgerServiceIsConfined(t *testing.T) { confined(t, ledgerService, exposed) }

// What answers the page is confined as the verifier is.
func TestPortalServiceIsConfined(t *testing.T) { confined(t, portalVerifierService, exposed) }

// The page faces the network, and opens no connection there.
func TestPageServiceIsConfined(t *testing.T) { confined(t, pageService, exposed) }

// What reminds people is confined as the verifier is that sends codes.
func TestRemindServiceIsConfined(t *testing.T) { confined(t, remindService, exposed) }

// With the drop-ins that let codes out, and a client to its servers, it still is.
func TestSendingServiceIsConfined(t *testing.T) {
	for _, dropIn := range []string{"send.conf", "remote.conf"} {
		var whole []byte
		for _, file := range []string{service, dropIn} {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			whole = append(append(whole, text...), '\n')
		}
		sending := filepath.Join(t.TempDir(), service)
		if err := os.WriteFile(sending, whole, 0o644); err != nil {
			t.Fatal(err)
		}
		confined(t, sending, exposed)
	}
}

func confined(t *testing.T, unit string, exposed float64) {
	t.Helper()
	output, err := exec.Command("systemd-analyze", "--offline=true", "--no-pager", "security", unit).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(output)
	if found == nil {
		t.Fatalf("expected a level, found\n%s", output)
	}
	level, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil || level > exposed {
		t.Errorf("expected a level of at most %v, found %s, %v\n%s", exposed, found[1], err, output)
	}
	t.Logf("the level is %v", level)
}

// What would make the verifier take everybody for nobody, or the front take
// the socket for somebody else's.
func TestServiceSeesItsPeers(t *testing.T) {
	for file, lines := range map[string][]string{
		service:                           {"PrivateUsers=no", "User=otpgate", "ReadWritePaths=/etc/otpgate/users /var/lib/otpgate"},
		gatewayService:                    {"PrivateUsers=no", "User=otpgate-gateway"},
		"otpgate-verifierd.socket":        {"ListenStream=/run/otpgate/verifier.sock", "SocketMode=0666", "DirectoryMode=0755"},
		ledgerService:                     {"User=otpgate-ledgerd"},
		portalVerifierService:             {"PrivateUsers=no", "User=otpgate", "ReadWritePaths=/etc/otpgate/users /var/lib/otpgate"},
		"otpgate-verifierd-portal.socket": {"ListenStream=/run/otpgate/portal.sock", "FileDescriptorName=portal", "SocketUser=otpgate-portal", "SocketMode=0600", "DirectoryMode=0755"},
		remindService:                     {"PrivateUsers=no", "User=otpgate", "ReadWritePaths=/etc/otpgate/users /var/lib/otpgate"},
		pageService:                       {"PrivateUsers=no", "User=otpgate-portal", "MemoryMax=128M", "TasksMax=64", "RestrictAddressFamilies=AF_UNIX"},
		"otpgate-portal.socket":           {"ListenStream=/run/otpgate-portal/http.sock", "SocketUser=root", "SocketGroup=otpgate-portal", "SocketMode=0660", "DirectoryMode=0755"},
		"otpgate-ledgerd.socket":          {"ListenStream=/run/otpgate/ledger.sock", "SocketUser=otpgate", "SocketMode=0600", "DirectoryMode=0755"},
		"tmpfiles.d/otpgate.conf":         {"d /run/otpgate 0755 root root -"},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !slices.Contains(strings.Split(string(text), "\n"), line) {
				t.Errorf("%s: expected the line %q", file, line)
			}
		}
		if strings.Contains(string(text), "RuntimeDirectory=otpgate\n") {
			t.Errorf("%s: the socket's directory would become the service's", file)
		}
	}
}

// Nothing gives up for good: what failed for a moment comes back by itself.
func TestUnitsRecover(t *testing.T) {
	for file, lines := range map[string][]string{
		service:                           {"StartLimitIntervalSec=0", "Restart=on-failure", "RestartSec=5"},
		sftpService:                       {"StartLimitIntervalSec=0", "Restart=on-failure", "RestartSec=5"},
		gatewayService:                    {"StartLimitIntervalSec=0", "Restart=on-failure", "RestartSec=5"},
		ledgerService:                     {"StartLimitIntervalSec=0", "Restart=on-failure", "RestartSec=1"},
		"otpgate-ledgerd.socket":          {"StartLimitIntervalSec=0", "TriggerLimitIntervalSec=0"},
		portalVerifierService:             {"StartLimitIntervalSec=0", "Restart=on-failure", "RestartSec=5"},
		"otpgate-verifierd-portal.socket": {"StartLimitIntervalSec=0", "TriggerLimitIntervalSec=0"},
		pageService:                       {"StartLimitIntervalSec=0", "Restart=on-failure", "RestartSec=5"},
		"otpgate-portal.socket":           {"StartLimitIntervalSec=0", "TriggerLimitIntervalSec=0"},
		"otpgate-verifierd.socket":        {"StartLimitIntervalSec=0", "TriggerLimitIntervalSec=0"},
		"otpgate-sftpd.socket":            {"StartLimitIntervalSec=0", "TriggerLimitIntervalSec=0"},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !slices.Contains(strings.Split(string(text), "\n"), line) {
				t.Errorf("%s: expected the line %q", file, line)
			}
		}
	}
}

// installUnits runs the script of that name and lists the files below dir.
func installUnits(t *testing.T, dir string, arguments ...string) []string {
	t.Helper()
	installUnitsBelow(t, dir, "/opt/o", arguments...)
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func installUnitsBelow(t *testing.T, dir, prefix string, arguments ...string) {
	t.Helper()
	cmd := exec.Command("packaging/installunits", append(arguments, dir, prefix)...)
	cmd.Dir = "../.."
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("installunits: %v: %s", err, output)
	}
}

// The files go below DESTDIR and name what is below PREFIX; systemd takes them
// for right.
func TestInstallUnits(t *testing.T) {
	dir := t.TempDir()
	const units = "/opt/o/lib/systemd/system/"
	want := []string{
		units + doctorService, units + doctorTimer, units + gatewayService, units + ledgerService, units + "otpgate-ledgerd.socket", units + restoreService, units + pageService, units + "otpgate-portal.socket", units + remindService, units + remindTimer, units + sftpService, units + "otpgate-sftpd.socket", units + portalVerifierService, units + "otpgate-verifierd-portal.socket", units + service, units + "otpgate-verifierd.socket", units + "sysinit.target.wants/" + restoreService,
		"/opt/o/lib/sysusers.d/otpgate.conf", "/opt/o/lib/tmpfiles.d/otpgate.conf", "/opt/o/share/otpgate/gateway.conf", "/opt/o/share/otpgate/ledgerd.conf", "/opt/o/share/otpgate/own.conf", "/opt/o/share/otpgate/portal.conf", "/opt/o/share/otpgate/remote.conf", "/opt/o/share/otpgate/send.conf",
	}
	if files := installUnits(t, dir); !slices.Equal(files, want) {
		t.Errorf("expected %q, found %q", want, files)
	}
	installed := dir + units + service
	text, err := os.ReadFile(installed)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"ExecStart=/opt/o/sbin/otpgate-verifierd", "ExecStartPre=+systemd-tmpfiles --create /opt/o/share/otpgate/own.conf"} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("expected the line %q, found\n%s", line, text)
		}
	}
	// The program is not installed here.
	runnable := strings.Replace(string(text), "/opt/o/sbin/otpgate-verifierd", "/bin/true", 1)
	if err := os.WriteFile(installed, []byte(runnable), 0o644); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command("systemd-analyze", "verify", "--man=no", installed, dir+units+"otpgate-verifierd.socket").CombinedOutput()
	if complaints := about(output); err != nil || complaints != "" {
		t.Errorf("%v\n%s", err, output)
	}
	verifyService(t, dir+units, gatewayService, "/opt/o/sbin/otpgate-gateway")
	verifyService(t, dir+units, ledgerService, "/opt/o/sbin/otpgate-ledgerd", "otpgate-ledgerd.socket")
	verifyService(t, dir+units, portalVerifierService, "/opt/o/sbin/otpgate-verifierd", "otpgate-verifierd-portal.socket")
	verifyService(t, dir+units, pageService, "/opt/o/sbin/otpgate-portal", "otpgate-portal.socket")
	verifyService(t, dir+units, sftpService, "/opt/o/sbin/otpgate-sftpd", "otpgate-sftpd.socket")
	verifyService(t, dir+units, restoreService, "/opt/o/bin/otpctl")
	verifyService(t, dir+units, doctorService, "/opt/o/bin/otpctl", doctorTimer)
	verifyService(t, dir+units, remindService, "/opt/o/bin/otpctl", remindTimer)
	if files := installUnits(t, dir, "--remove"); len(files) > 0 {
		t.Errorf("left behind: %q", files)
	}
}

// verifyService has systemd look at a service whose program is below the prefix,
// and at other units of its.
func verifyService(t *testing.T, units, name, program string, others ...string) {
	t.Helper()
	text, err := os.ReadFile(units + name)
	if err != nil {
		t.Fatal(err)
	}
	runnable := strings.ReplaceAll(string(text), program, "/bin/true")
	if runnable == string(text) || strings.Contains(runnable, "/usr/sbin/") || strings.Contains(runnable, "/usr/bin/") {
		t.Errorf("expected the program below the prefix, found\n%s", text)
	}
	if err := os.WriteFile(units+name, []byte(runnable), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"verify", "--man=no", units + name}
	for _, other := range others {
		args = append(args, units+other)
	}
	output, err := exec.Command("systemd-analyze", args...).CombinedOutput()
	if complaints := about(output); err != nil || complaints != "" {
		t.Errorf("%v\n%s", err, output)
	}
}

// What the parts of the SFTP server shed their rights with is among the system
// calls that its unit lets through.
func TestSFTPServiceMayShedRights(t *testing.T) {
	text, err := os.ReadFile(sftpService)
	if err != nil {
		t.Fatal(err)
	}
	filter := regexp.MustCompile(`(?m)^SystemCallFilter=(.*)$`).FindStringSubmatch(string(text))
	if filter == nil {
		t.Fatal("no filter")
	}
	allowed := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if allowed[name] {
			return
		}
		allowed[name] = true
		if !strings.HasPrefix(name, "@") {
			return
		}
		output, err := exec.Command("systemd-analyze", "--no-pager", "syscall-filter", name).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for line := range strings.Lines(string(output)) {
			if fields := strings.Fields(line); len(fields) == 1 && fields[0] != name && !strings.HasPrefix(fields[0], "#") {
				add(fields[0])
			}
		}
	}
	for name := range strings.FieldsSeq(filter[1]) {
		add(name)
	}
	for _, call := range []string{"seccomp", "prctl", "chroot", "setgroups", "setresuid", "setresgid", "umask", "keyctl", "prlimit64", "execve", "sendmsg", "fchownat", "statfs"} {
		if !allowed[call] {
			t.Errorf("%s is not let through", call)
		}
	}
}

// about keeps what is said of these units, not of others on the machine.
func about(output []byte) string {
	var ours []string
	for line := range strings.Lines(string(output)) {
		if strings.Contains(line, "otpgate") {
			ours = append(ours, line)
		}
	}
	return strings.Join(ours, "")
}

// The gateway sees none of the places for secrets that the verifier's user owns.
func TestGatewaySeesNoSecrets(t *testing.T) {
	unit, err := os.ReadFile(gatewayService)
	if err != nil {
		t.Fatal(err)
	}
	owned, err := os.ReadFile("own.conf")
	if err != nil {
		t.Fatal(err)
	}
	hidden := strings.Fields(string(regexp.MustCompile(`(?m)^InaccessiblePaths=(.*)$`).FindSubmatch(unit)[1]))
	places := regexp.MustCompile(`(?m)^d (/\S+) 0700 otpgate otpgate `).FindAllSubmatch(owned, -1)
	if len(places) < 5 {
		t.Errorf("found only %q", places)
	}
	for _, place := range places {
		if !slices.Contains(hidden, "-"+string(place[1])) {
			t.Errorf("%s hides %q, expected %s too", gatewayService, hidden, place[1])
		}
	}
}
