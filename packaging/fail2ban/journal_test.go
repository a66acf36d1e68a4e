package fail2ban_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/audit"
)

// journal runs a journald of its own, has root and an ordinary user send it a
// line, and asks fail2ban what counts in it. One with a name of its own looks at
// nothing of the kernel's, and may have ended before us: it does when it has
// nothing to do. Its socket is anybody's to send to a moment after it is there.
const journal = `
mount -t tmpfs -o mode=755 journal /run
mount -t tmpfs -o mode=755 journal /var/log
mkdir -p /run/systemd/journal.filter
/lib/systemd/systemd-journald filter &
journald=$!
trap 'kill $journald || :' EXIT
socket=/run/systemd/journal.filter/dev-log
until [ "$(stat -c %a $socket 2>/dev/null)" = 666 ]; do kill -0 $journald; sleep 0.1; done
send() { program=$1; shift; "$@" logger --socket $socket --priority authpriv.notice --tag $program --id=12 -- "$line"; }
line=$ROOTS; send otpgate env
line=$OTHERS; send otpgate setpriv --reuid=1000 --regid=1000 --clear-groups; send sshd env
written() { kept=$(echo /var/log/journal/*.filter); [ "$(journalctl --quiet --directory $kept SYSLOG_PID=12 | wc -l)" = 3 ]; }
until written; do kill -0 $journald; sleep 0.1; done
fail2ban-regex -o '<ip>' "systemd-journal[journalpath='$kept']" $FILTER
`

// Any local user can send the system's log a line like otpgate's. In the journal
// it does not count.
func TestJournalKnowsWhoSent(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("running without root: journald is")
	}
	filter, err := filepath.Abs("filter.d/otpgate.conf")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", journal)
	cmd.Env = append(os.Environ(), "FILTER="+filter, "ROOTS="+denied(func(*audit.Record) {}).Line(),
		"OTHERS="+denied(func(r *audit.Record) { r.Remote = victim }).Line())
	var complaints strings.Builder
	cmd.Stderr = &complaints
	output, err := cmd.Output()
	if err != nil || strings.TrimSpace(string(output)) != "192.0.2.7" {
		t.Errorf("expected that root's line counts alone, found %q, %v\n%s", output, err, complaints.String())
	}
}
