package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/safefile"
)

// lowBytes and lowFiles are far more than a login needs and far less than a
// healthy disk has.
const (
	lowBytes = 16 << 20
	lowFiles = 1000
)

// records is what a machine keeps in paths.state, in the words of findings.
type records struct {
	// file and disk are what it is in, denied what follows where nothing can be kept there.
	file, disk, denied string
	// forgotten is what follows from its loss, and newcomers from no room for new ones.
	forgotten, newcomers string
}

// ledgerRecords are those of every code.
var ledgerRecords = records{
	file: "The ledger", disk: "of the ledger", denied: "Every login that needs a code is denied",
	forgotten: "Then codes that were used are good again, of tokens even old ones, and tokens that are far ahead are refused; locks and grace begin anew.",
	newcomers: "Everybody is denied who has not logged in with a code yet.",
}

// breakGlassRecords are those of break-glass codes alone, where servers or a ledger in
// etcd decide the other logins.
var breakGlassRecords = records{
	file: "What remembers used break-glass codes", disk: "for used break-glass codes", denied: "Nobody gets in by a break-glass code",
	forgotten: "Then break-glass codes that were used are good again, and locks are forgotten.",
	newcomers: "Nobody gets in by a break-glass code who has not used one yet.",
}

// state looks at the ledger's directory and disk. On a client, or where servers share a
// ledger in etcd, only break-glass codes are used up there.
func (e *exam) state() {
	if !e.inUse() {
		return
	}
	path, kept := e.settings.Paths.State, ledgerRecords
	if e.settings.UsesBreakGlass() {
		// What is wrong with these names is found where they are looked at.
		if names, err := breakglass.Names(e.settings.Paths.BreakGlass); err != nil || len(names) == 0 {
			return
		}
		kept = breakGlassRecords
	}
	volatile := e.inMemory(strings.TrimPrefix(path, e.Machine.Root))
	if volatile != "" {
		e.volatile(path, kept, kept.file+" is "+volatile+".")
	}
	dir, err := safefile.OpenServiceDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(path)); err == nil {
			if !e.settings.UsesBreakGlass() {
				e.add(finding.Finding{Severity: finding.Note, ID: "state-missing", File: path, What: "The ledger's directory is not there yet.",
					Follows: "The first login makes it. If there was one, it has forgotten which codes were used."})
			}
			return
		}
	}
	if err != nil {
		e.add(finding.Finding{Severity: finding.Error, ID: "state-directory", File: path, What: err.Error() + ".",
			Follows: kept.denied + ".", Fix: "It must belong to root (or the verifier's user) and be writable for nobody else: chown root " + path + " && chmod 700 " + path})
		return
	}
	defer dir.Close()
	space := e.Machine.Space(path)
	e.disk(path, kept, space)
	if space.Untried != nil {
		f := finding.NotLookedAt(finding.Note, "whether a file can be written there", space.Untried.Error())
		f.File, f.Fix = path, "Log in once with a code: the log says if its use could not be recorded."
		e.add(f)
	}
	if space.Volatile && volatile == "" {
		e.volatile(path, kept, kept.file+" is in memory: its file system is gone with the next start.")
	}
}

func (e *exam) volatile(path string, kept records, what string) {
	e.add(finding.Finding{Severity: finding.Warning, ID: "state-volatile", File: path, What: what,
		Follows: kept.forgotten, Fix: "Name a directory on a disk in paths.state, or do not mount a tmpfs there."})
}

// inMemory says why a directory is empty after each start, "" if nothing says so.
func (e *exam) inMemory(path string) string {
	below := func(dir string) bool { return path == dir || strings.HasPrefix(path, strings.TrimRight(dir, "/")+"/") }
	for _, dir := range []string{"/run", "/var/run", "/dev/shm"} {
		if below(dir) {
			return "below " + dir + ", which is in memory and empty after each start"
		}
	}
	mounted, why := "", "" // the nearest above counts
	for place, line := range target.Lines(e.Machine.Root, "/etc/fstab", 0) {
		fields := strings.Fields(line)
		if len(fields) < 3 || strings.HasPrefix(fields[0], "#") || !below(fields[1]) || len(fields[1]) < len(mounted) {
			continue
		}
		mounted, why = fields[1], ""
		if fields[2] == "tmpfs" || fields[2] == "ramfs" {
			why = "below " + mounted + ", which is in memory by " + place.String() + " and empty after each start"
		}
	}
	return why
}

func (e *exam) disk(path string, kept records, space target.Space) {
	denied := kept.denied + ", as its use could not be recorded."
	switch {
	case errors.Is(space.Err, unix.EROFS):
		e.add(finding.Finding{Severity: finding.Error, ID: "state-read-only", File: path, What: "The file system " + kept.disk + " is read-only.", Follows: denied,
			Fix: "dmesg says why the kernel made it so; mount it for writing, or name another directory in paths.state."})
	case errors.Is(space.Err, unix.ENOSPC) || errors.Is(space.Err, unix.EDQUOT):
		e.add(finding.Finding{Severity: finding.Error, ID: "state-full", File: path, What: "The disk " + kept.disk + " is full: " + space.Err.Error() + ".", Follows: denied,
			Fix: "Make room (df, df -i)."})
	case space.Err != nil:
		e.add(finding.Finding{Severity: finding.Error, ID: "state-directory", File: path, What: "A file cannot be written there: " + space.Err.Error() + ".", Follows: denied,
			Fix: "Run otpctl doctor as root; then look at the mount, quotas, and SELinux or AppArmor's log."})
	case space.Record != nil:
		e.add(finding.Finding{Severity: finding.Error, ID: "state-record", File: path, What: "A record " + kept.disk + " cannot be made there: " + space.Record.Error() + ".",
			Follows: kept.newcomers, Fix: "Name a directory on another kind of file system in paths.state: ext4, XFS, Btrfs."})
	case space.Total > 0 && (space.Bytes < lowBytes || space.Files < lowFiles):
		e.add(finding.Finding{Severity: finding.Warning, ID: "state-nearly-full", File: path,
			What:    fmt.Sprintf("The disk %s has %d KiB and %d files left.", kept.disk, space.Bytes>>10, space.Files),
			Follows: "When it is full, " + strings.ToLower(kept.denied[:1]) + kept.denied[1:] + ".", Fix: "Make room (df, df -i), or put the ledger on a disk that logs cannot fill."})
	}
}

// clock looks for signs that codes will not match.
func (e *exam) clock() {
	if !e.inUse() {
		return
	}
	if !e.Machine.Synchronised() {
		e.add(finding.Finding{Severity: finding.Warning, ID: "clock-unsynchronised", What: "No time service keeps this machine's clock right.",
			Follows: "Once it is off by more than a step or two of 30 seconds, right codes are refused.",
			Fix:     "timedatectl set-ntp true, or install chrony. In a container the host's counts."})
	}
	e.localClock()
	const tolerance = 2 * time.Minute
	now := e.Machine.Now()
	for _, path := range []string{e.configPath(), e.settings.Paths.Users, e.settings.Paths.State} {
		info, err := os.Stat(path)
		if err == nil && info.ModTime().After(now.Add(tolerance)) {
			e.add(finding.Finding{Severity: finding.Error, ID: "clock-behind", File: path,
				What:    fmt.Sprintf("It was changed at %s, and this machine's clock says %s.", info.ModTime().UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)),
				Follows: "If the clock is behind, right codes are refused.", Fix: "Set the clock right: timedatectl, chronyc tracking."})
			return
		}
	}
}

// adjtime says on its third line by which time the machine's own clock goes.
const adjtime = "/etc/adjtime"

// localClock finds a machine whose own clock goes by local time.
func (e *exam) localClock() {
	text, err := target.Read(e.Machine.Root, adjtime)
	if err != nil {
		return // then it goes by UTC
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 3 || strings.TrimSpace(lines[2]) != "LOCAL" {
		return
	}
	e.add(finding.Finding{Severity: finding.Warning, ID: "clock-local", File: adjtime, Line: 3, What: "The machine's own clock goes by local time.",
		Follows: "After the hour has changed, or with another time zone, the clock is off by hours from the start until a time service sets it: right codes are refused.",
		Fix:     "timedatectl set-local-rtc 0"})
}

// log looks for a place where the lines of logins are kept.
func (e *exam) log() {
	if !e.inUse() {
		return
	}
	nobody := e.Machine.Log()
	if nobody == nil {
		return
	}
	const makeIt = "install -m 0640 /dev/null " + audit.DefaultFile
	path := e.Machine.Root + audit.DefaultFile
	err := audit.CheckFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.add(finding.Finding{Severity: finding.Warning, ID: "log-nowhere",
			What:    "Nobody takes lines at /dev/log (" + nobody.Error() + "), and there is no " + path + ".",
			Follows: "Whatever a login is denied for, be it a mistake in the configuration that denies everybody, no line says so.",
			Fix:     "Have a system log run, or make the file, to which the lines go then: " + makeIt})
	case err != nil:
		e.add(finding.Finding{Severity: finding.Warning, ID: "log-file", File: path,
			What:    "Nobody takes lines at /dev/log (" + nobody.Error() + "), and this file is not written to: " + err.Error() + ".",
			Follows: "Whatever a login is denied for, no line says so.",
			Fix:     "Make it a file of root's that nobody else can write and others cannot read: rm " + path + " && " + makeIt})
	}
}
