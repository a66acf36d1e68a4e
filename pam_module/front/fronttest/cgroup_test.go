package fronttest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/testprogram"
)

// inGroup is a host in control groups of its own. Outside of them it makes one and takes it
// away, for which the kernel has to let go of the last process; within, that one is the root. A file
// system is not mounted on itself, and so on another one.
const inGroup = `#!/bin/sh
PATH=/usr/bin:/bin
exec unshare --mount sh -euc '
mount -t tmpfs tmpfs /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
own=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/$NAME
mkdir "$own"
status=0
(echo 0 > "$own/cgroup.procs"; exec unshare --mount --cgroup sh -euc "$WITHIN" sh "$@") || status=$?
tries=0
while [ -d "$own" ]; do
	if [ "$((tries += 1))" -gt 1000 ]; then
		echo "$own is still in use after 1000 tries to take it away" >&2
		exit 1
	fi
	find "$own" -depth -type d -delete 2> /dev/null || sleep 0.01
done
exit "$status"
' sh "$@"
`

// within is what it does there: it makes a group, and pamhost is run in that.
const within = `mount -t tmpfs tmpfs /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/group
cd /sys/fs/cgroup/group
%s
echo 0 > cgroup.procs
exec %s "$@"
`

// deeper is a program of Perl's, which goes where no path of a shell's leads.
const deeper = `for (1..18) { mkdir 0 x 250 or die; chdir 0 x 250 or die }
open my $procs, ">", "cgroup.procs" or die;
print $procs 0;
close $procs or die;
exec @ARGV;
`

// Whoever was given a control group may stop what is in it: the core of his own su, while
// that has a lock that others wait for. Nor is that core slower than others are.
func TestCoreLeavesGroupsOfOthers(t *testing.T) {
	kit := *kits.plain.forked()
	for name, c := range map[string]struct{ setup, run, want string }{
		"root's":              {"", "", "group=/group policy=0 nice=0"},
		"given":               {"chown 1000 .", "", "group=/otpgate policy=0 nice=0"},
		"given to a group":    {"chgrp 1000 .; chmod g+w .", "", "group=/otpgate policy=0 nice=0"},
		"given to all":        {"chmod o+w .", "", "group=/otpgate policy=0 nice=0"},
		"root's within given": {"chown 1000 .; mkdir in; cd in", "", "group=/otpgate policy=0 nice=0"},
		"given within root's": {"mkdir in; cd in; chown 1000 .", "", "group=/group/otpgate policy=0 nice=0"},
		"not for the first":   {"chown 1000 .; mkdir ../otpgate", "", "group=/otpgate policy=0 nice=0"},
		// As in a container that may not change them.
		"no place": {"chown 1000 .", `sh -c 'mount -o remount,bind,ro /sys/fs/cgroup; exec "$@"' sh`, "group=/group policy=0 nice=0"},
		"idle":     {"", "chrt --idle 0 nice -n 19", "group=/group policy=0 nice=0"},
		"batch":    {"", "chrt --batch 0", "group=/group policy=0 nice=0"},
		"nice":     {"", "nice -n 5", "group=/group policy=0 nice=0"},
		"favoured": {"renice --priority -5 -p $$ > /dev/null", "", "group=/group policy=0 nice=-5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcome := inGroups(t, kit, c.setup, c.run)
			if len(outcome.Prompts) != 1 || outcome.Prompts[0].Text != c.want {
				t.Errorf("%s: expected the core to say %q, found %v", outcome.Result, c.want, outcome.Prompts)
			}
		})
	}
}

// A caller who goes deeper than the kernel has names for may hide whose that is.
func TestGroupsTooDeep(t *testing.T) {
	kit := *kits.plain.forked()
	script := filepath.Join(t.TempDir(), "deeper.pl")
	if err := testprogram.Write(script, []byte(deeper)); err != nil {
		t.Fatal(err)
	}
	outcome := inGroups(t, kit, "", "perl "+script)
	if outcome.Result != "PAM_SYSTEM_ERR" || outcome.asked() > 0 {
		t.Errorf("expected PAM_SYSTEM_ERR and no question, found %s, %v", outcome.Result, outcome.Prompts)
	}
}

// inGroups is a login in a group in which setup was done, by a host that run starts.
func inGroups(t *testing.T, kit Kit, setup, run string) Outcome {
	t.Helper()
	service := serviceName(t)
	kit.Stack(t, service, "protocol=share")
	host := kit.Host
	kit.Host = filepath.Join(t.TempDir(), "host")
	if err := testprogram.Write(kit.Host, []byte(inGroup)); err != nil {
		t.Fatal(err)
	}
	kit.Env = []string{fmt.Sprintf("NAME=otpgate-test-%d-%s", os.Getpid(), service), "WITHIN=" + fmt.Sprintf(within, setup, run+" "+host)}
	return kit.Login(t, "--service", service, "--ruid", "1000", "--no-snapshot")
}
