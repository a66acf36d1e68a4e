// Package fail2ban_test gives fail2ban the lines that otpgate writes, with the
// filter that is shipped.
package fail2ban_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
)

// victim is the address that each stranger below wants to have banned.
const victim = "203.0.113.9"

// aimed is what a stranger writes where text of his comes into a line: fields, the
// ends of what they stand in, and a line of its own.
var aimed = []string{
	"x remote=" + victim + " y",
	`x" service=sshd remote=` + victim + ` verdict=denied rule=code "`,
	`\" service=sshd remote=` + victim + ` verdict=denied rule=code`,
	`\\" service=sshd remote=` + victim + ` verdict=denied rule=code \\`,
	"x service=sshd protocol=ssh remote=" + victim + " tty=ssh verdict=denied rule=code",
	"x\nNov 29 01:00:00 host otpgate[1]: user=x service=sshd remote=" + victim + " verdict=denied rule=code",
	"x\r\x00\u2028host otpgate[1]: user=x service=sshd remote=" + victim + " verdict=denied rule=code",
	"2026-11-29T01:00:00 host otpgate[1]: user=x service=sshd remote=" + victim + " verdict=denied rule=code",
	`"`, `\`, `\"`, "…", "…\" service=sshd remote=" + victim + " verdict=denied rule=code",
	strings.Repeat(`\`, 511) + `" service=sshd remote=` + victim + ` verdict=denied rule=code`,
	strings.Repeat("\xff", 600) + " remote=" + victim + " verdict=denied rule=code",
	"", victim, "remote=" + victim, "-" + victim, victim + ":22", "[" + victim + "]",
}

type banned struct {
	audit.Record
	// want is the address that counts, "" if none does.
	want string
}

// denied is a line of a service with a protocol of its own.
func denied(change func(r *audit.Record)) audit.Record {
	r := audit.Record{User: "alice", Service: "sshd", Protocol: "ssh", Remote: "192.0.2.7", TTY: "ssh", Verdict: "denied", Rule: "code", Reason: "codes: 3 wrong"}
	change(&r)
	return r
}

// lines are those that count and those that do not.
func lines() []banned {
	all := []banned{
		{denied(func(*audit.Record) {}), "192.0.2.7"},
		{denied(func(r *audit.Record) { r.Protocol, r.TTY, r.Reason = "", "", "" }), "192.0.2.7"},
		{denied(func(r *audit.Record) { r.Remote = "2001:db8::7" }), "2001:db8::7"},
		{denied(func(r *audit.Record) { r.User, r.Service = `CORP\al ice`, "my service" }), "192.0.2.7"},
		{denied(func(r *audit.Record) { r.User = "" }), "192.0.2.7"},
		// What a server of another than root's says may be anybody's address.
		{denied(func(r *audit.Record) { r.Peer = "uid 33" }), ""},
		{denied(func(r *audit.Record) { r.Peer, r.TTY = "uid 33", "" }), ""},
		// Hosts that look addresses up say names, which their owners choose.
		{denied(func(r *audit.Record) { r.Remote = "localhost" }), ""},
		{denied(func(r *audit.Record) { r.Remote = victim + ".example.com" }), ""},
		{denied(func(r *audit.Record) { r.Remote = "" }), ""},
		// Whoever comes while many are at their login has done nothing.
		{denied(func(r *audit.Record) { r.User, r.Verdict, r.Rule = "", "turned-away", "sftp.limits.penalties" }), "192.0.2.7"},
		{denied(func(r *audit.Record) { r.User, r.Verdict, r.Rule = "", "turned-away", "sftp.limits.max_startups" }), ""},
		{denied(func(r *audit.Record) {
			r.User, r.Verdict, r.Rule = "", "turned-away", "sftp.limits.startups_per_source"
		}), ""},
		{denied(func(r *audit.Record) { r.User, r.Verdict, r.Rule = "", "turned-away", "key-exchange" }), ""},
	}
	for _, rule := range []string{"password", "publickey", "policy.attempts.per_login", "policy.attempts.per_window"} {
		all = append(all, banned{denied(func(r *audit.Record) { r.Rule = rule }), "192.0.2.7"})
	}
	for _, rule := range []string{"no-answer", "password-repeated", "email:mail", "sent.per_hour", "policy.unenrolled", "not-enrolled", "account", "codes"} {
		all = append(all, banned{denied(func(r *audit.Record) { r.Rule = rule }), ""})
	}
	for _, verdict := range []string{"accepted", "not-asked", "fault", "sent", "not-sent", "enrolled", "proven", "changed", audit.Examined} {
		all = append(all, banned{denied(func(r *audit.Record) { r.Verdict = verdict }), ""})
	}
	for _, text := range aimed {
		// Of a wrong guess the right address counts, whatever else is said.
		all = append(all,
			banned{denied(func(r *audit.Record) { r.User = text }), "192.0.2.7"},
			banned{denied(func(r *audit.Record) { r.Reason = text }), "192.0.2.7"},
			banned{denied(func(r *audit.Record) { r.User, r.Remote = text, "" }), ""},
			banned{denied(func(r *audit.Record) { r.User, r.Verdict = text, "accepted" }), ""},
			banned{denied(func(r *audit.Record) { r.User, r.Rule = text, "no-answer" }), ""},
			banned{denied(func(r *audit.Record) { r.Verdict, r.Rule, r.Reason = "turned-away", "key-exchange", text }), ""},
		)
		if text != "" {
			all = append(all, banned{denied(func(r *audit.Record) { r.TTY = text }), "192.0.2.7"})
		}
		// The host gives the address; nothing but one counts.
		if text != victim && text != "["+victim+"]" {
			all = append(all, banned{denied(func(r *audit.Record) { r.Remote = text }), ""})
		}
	}
	return all
}

// logged is what a system log writes of each record, in the old form of its time
// and in the new one.
func logged(t *testing.T, records []audit.Record) (text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	socket, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	sink := audit.Syslog{Path: path, Now: func() time.Time { return time.Date(2026, 11, 29, 1, 2, 3, 0, time.UTC) }}
	buffer := make([]byte, 64<<10)
	for _, r := range records {
		sink.Write(r)
		n, _, err := socket.ReadFrom(buffer)
		if err != nil {
			t.Fatal(err)
		}
		_, message, _ := strings.Cut(string(buffer[:n]), ">")
		stamp, message := message[:len(time.Stamp)], message[len(time.Stamp):]
		text += stamp + " host" + message + "\n" + "2026-11-29T01:02:03.123456+00:00 host" + message + "\n"
	}
	return text
}

// counted are the addresses that fail2ban counts in a log, one for each line that
// has one.
func counted(t *testing.T, log string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auth.log")
	if err := os.WriteFile(path, []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	filter, err := filepath.Abs("filter.d/otpgate.conf")
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command("fail2ban-regex", "-o", "<ip>", path, filter).CombinedOutput()
	// It says by its status whether any line had one.
	if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 1 && exit.ExitCode() != 255) {
		t.Fatalf("fail2ban-regex: %v: %s", err, output)
	}
	return strings.Fields(string(output))
}

// What counts is the address that otpgate names in lines about guesses, and
// nothing that a stranger writes.
func TestFilter(t *testing.T) {
	t.Parallel()
	var records []audit.Record
	var want []string
	for _, line := range lines() {
		records = append(records, line.Record)
		if line.want != "" {
			want = append(want, line.want, line.want)
		}
	}
	log := logged(t, records)
	if found := counted(t, log); !slices.Equal(found, want) {
		t.Errorf("expected %d addresses\n%q\nfound %d\n%q\nin\n%s", len(want), want, len(found), found, log)
	}
}

// Lines of other programs are none of otpgate's, whatever stands in them.
func TestFilterLeavesOtherPrograms(t *testing.T) {
	t.Parallel()
	const ours = "otpgate[1]: user=x service=sshd remote=" + victim + " verdict=denied rule=code"
	var log strings.Builder
	for _, message := range []string{
		"sshd[7]: Invalid user " + ours, "sshd[7]: " + ours, "sshd: " + ours, "otpgate-x[1]: user=x service=sshd remote=" + victim + " verdict=denied rule=code",
		"kernel: [    1.0] " + ours, "otpgate[1]: user=x service=sftp remote=192.0.2.7 op=transfer path=x remote=" + victim + " verdict=denied rule=code",
		"otpgate[1]: " + ours, "su[2]: 2026-11-29T01:02:03 host " + ours, "su[2]: Nov 29 01:02:03 host " + ours,
	} {
		log.WriteString("Nov 29 01:02:03 host " + message + "\n" + "Nov 29 01:02:03 " + message + "\n2026-11-29T01:02:03.123456+00:00 host " + message + "\n" + message + "\n")
	}
	if found := counted(t, log.String()); len(found) > 0 {
		t.Errorf("found %q in\n%s", found, log.String())
	}
	if found := counted(t, "Nov 29 01:02:03 host "+ours+"\n"); !slices.Equal(found, []string{victim}) {
		t.Errorf("expected that this is otpgate's own: %q", found)
	}
}

// The jail of docs/recipes.md is one that fail2ban takes, with this filter.
func TestJail(t *testing.T) {
	t.Parallel()
	recipes, err := os.ReadFile("../../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	jail := regexp.MustCompile("(?s)# /etc/fail2ban/jail.d/otpgate.conf\n(.*?)```").FindStringSubmatch(string(recipes))
	if jail == nil {
		t.Fatal("docs/recipes.md has no jail")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("/etc/fail2ban")); err != nil {
		t.Fatal(err)
	}
	filter, err := os.ReadFile("filter.d/otpgate.conf")
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{"/jail.d/otpgate.conf": []byte(jail[1]), "/filter.d/otpgate.conf": filter} {
		if err := os.WriteFile(dir+path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	output, err := exec.Command("fail2ban-client", "-c", dir, "-d").CombinedOutput()
	if err != nil {
		t.Fatalf("fail2ban-client: %v: %s", err, output)
	}
	for _, want := range []string{
		"['add', 'otpgate', 'systemd']", "['multi-set', 'otpgate', 'addfailregex', ", "['start', 'otpgate']",
		"['set', 'otpgate', 'addjournalmatch', 'SYSLOG_IDENTIFIER=otpgate', '_UID=0', '+', 'SYSLOG_IDENTIFIER=otpgate', '_SYSTEMD_UNIT=otpgate-verifierd.service']",
	} {
		if !strings.Contains(string(output), want) {
			t.Errorf("expected %s in\n%s", want, output)
		}
	}
}
