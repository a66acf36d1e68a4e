package sshd

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

func wordsOf(texts ...string) (words []unit.Word) {
	for _, text := range texts {
		words = append(words, unit.Word{Text: text})
	}
	return words
}

// Arguments are read as getopt(3) does, and those that say nothing are left out.
func TestArguments(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"-D -e":                            " |",
		"-f /a -D":                         "/a |",
		"-Df/a -f /b":                      "/b |",
		"-DoUsePAM=no -4":                  " | -o UsePAM=no -4",
		"-o UsePAM no -p 22":               " | -o UsePAM no -p 22",
		"-ddp2222 -h /key":                 " | -p 2222 -h /key",
		"-o AuthorizedKeysFile=/k/%u -f a": "a | -o AuthorizedKeysFile=/k/%u",
		"-E /log -u 0 -g 5 -o A=b -i":      " | -o A=b",
	} {
		d := daemonOf(wordsOf(strings.Fields(given)...))
		if got := d.query.Config + " | " + strings.Join(d.query.Arguments, " "); strings.TrimRight(got, " ") != want {
			t.Errorf("%s: found %q, expected %q", given, got, want)
		}
	}
}

// An sshd is found behind programs that start others, and nothing else is taken
// for one.
func TestWhatStartsSSHD(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"/usr/sbin/sshd -D":                         "/usr/sbin/sshd -D as /usr/sbin/sshd",
		"/opt/ssh/sbin/sshd -f /a":                  "/opt/ssh/sbin/sshd -f /a as /opt/ssh/sbin/sshd",
		"/usr/sbin/ip vrf exec mgmt /usr/sbin/sshd": "/usr/sbin/sshd as /usr/sbin/sshd",
		`/bin/sh -c "exec /usr/sbin/sshd -D -f /a"`: "/usr/sbin/sshd -D -f /a as /usr/sbin/sshd",
		"/usr/bin/systemctl restart sshd":           "",
		"/usr/bin/ssh-keygen -A":                    "",
		"/bin/echo -c":                              "",
	} {
		command := unit.Command{Words: wordsOf(unit.Split(given)...)}
		words, name := sshdIn("", command)
		var texts []string
		for _, word := range words {
			texts = append(texts, word.Text)
		}
		got := strings.Join(texts, " ")
		if name != "" {
			got += " as " + name
		}
		if got != want {
			t.Errorf("%s: found %q, expected %q", given, got, want)
		}
	}
}

// The title of one that listens tells its arguments; sessions are none.
func TestRunningDaemon(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"sshd: /usr/sbin/sshd -D -f /a [listener] 0 of 10-100 startups": "-f /a as sshd",
		"ssh-lab: /srv/bin/ssh-lab -o UsePAM no [listener] 0 of 10":     "-o UsePAM no as ssh-lab",
		"ssh-lab: alice [priv]":          "none",
		"/usr/sbin/sshd|-D|-o|UsePAM no": "-o UsePAM no as sshd",
		"/srv/bin/ssh-lab|-D":            " as ssh-lab",
		"sshd: alice [priv]":             "none",
		"sshd: alice@pts/0":              "none",
		"sshd: [accepted]":               "none",
		"sshd: unknown [net]":            "none",
		"/usr/sbin/sshd":                 " as sshd",
	} {
		d, listens := runningDaemon(target.Process{PID: 1, Words: strings.Split(given, "|")})
		got := "none"
		if listens {
			args := d.query.Args("")
			got = strings.Join(args[1:], " ") + " as " + d.serviceName()
		}
		if got != want {
			t.Errorf("%s: found %q, expected %q", given, got, want)
		}
	}
}

// What newer versions know and this machine's may not: a version is the same for
// all logins, and nobody who does not exist gets in.
func TestNewerCriteria(t *testing.T) {
	t.Parallel()
	v := view{Exam: Exam{Machine: &target.Machine{Root: t.TempDir()}}}
	for value, want := range map[string]string{
		"version OpenSSH_10.* User bob": "user=bob,host=host.example,addr=192.0.2.1,laddr=192.0.2.2,lport=22,rdomain=none",
		"invalid-user":                  "",
		"sessiontype shell":             "no login can be made up for the criterion sessiontype",
	} {
		logins, why := v.logins(t.Context(), setting{Position: pamstack.Position{}, value: value})
		got := why
		for _, l := range logins {
			got += l.spec()
		}
		if got != want {
			t.Errorf("Match %s: found %q, expected %q", value, got, want)
		}
	}
}

// Lists of patterns are matched as sshd does, and what is made up for them is
// matched by them.
func TestSamples(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"bob": "bob", "bob,eve": "bob eve", "*": "x", "b?b*": "bxbx", "*,!x": "x1", "!bob": "", "*,!*": "", "bob,!b*": "", `CORP\*`: `CORP\x`,
	} {
		if got := strings.Join(namesOf([]string{list}, false), " "); got != want {
			t.Errorf("%s: found %q, expected %q", list, got, want)
		}
	}
	for list, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0", "10.0.0.0/8,!10.0.0.0/9": "10.128.0.0", "192.0.2.*": "192.0.2.7", "*": "192.0.2.7", "10.*": "10.0.2.7", "2001:db8::?": "2001:db8::7", "2001:db8::/32,!2001:db8::": "2001:db8::1",
		"10.0.0.1,!10.0.0.0/8": "", "192.0.2.1,fe80::/10": "192.0.2.1 fe80::",
	} {
		if got := strings.Join(addressesOf([]string{list}), " "); got != want {
			t.Errorf("%s: found %q, expected %q", list, got, want)
		}
	}
	if got := namesOf([]string{"*.example.com", "A*"}, true); len(got) != 1 || got[0] != "a.example.com" && !strings.HasSuffix(got[0], ".example.com") {
		t.Errorf("two lists: found %v", got)
	}
}
