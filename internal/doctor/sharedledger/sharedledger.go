// Package sharedledger examines a ledger that servers share in etcd: whether it can be
// reached, how its members are, and the certificates by which they are reached; and whether
// this machine's own one in files was moved there.
//
// The entry point is [Exam.Examine]. It promises to change nothing there, and to say
// what it could not ask.
package sharedledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/ledgersocket"
)

// Ask asks how the service of a ledger is.
type Ask func(ctx context.Context, settings config.Ledger) (casledger.Status, error)

// Members asks them by way of otpgate-ledgerd, as logins do.
func Members(ctx context.Context, settings config.Ledger) (casledger.Status, error) {
	store := open(settings)
	defer store.Close()
	return store.Status(ctx)
}

// Former asks there, as logins do, whether the ledger is the one that this machine's own
// was moved to, if it was.
func Former(ctx context.Context, settings config.Config) error {
	store := open(*settings.Ledger)
	defer store.Close()
	store.After(settings.Paths.State)
	return store.CheckFormer(ctx)
}

// People asks whether servers have people there.
func People(ctx context.Context, settings config.Ledger) (bool, error) {
	store := open(settings)
	defer store.Close()
	return store.HasTexts(ctx)
}

func open(settings config.Ledger) *casledger.Store {
	return casledger.New(ledgersocket.Client{Path: settings.Socket}, casledger.LimitsOf(settings.Timeout.Duration))
}

// Exam is what is looked at.
type Exam struct {
	// Settings have the paths as they are reached from here, and Path is their file.
	Settings config.Config
	Path     string
	// Ask asks the service; without it that is not looked at.
	Ask Ask
	// Former asks whether it has what was moved from here.
	Former func(ctx context.Context, settings config.Config) error
	// People asks whether servers have people there.
	People func(ctx context.Context, settings config.Ledger) (bool, error)
	Now    func() time.Time
}

// exam is one run.
type exam struct {
	Exam
	text     []byte // of the configuration
	findings []finding.Finding
}

// add adds a finding at the line of the table [ledger] that sets a key.
func (e *exam) add(key string, f finding.Finding) {
	f.File, f.Line = e.Path, finding.LineOf(e.text, key)
	e.findings = append(e.findings, f)
}

// denied is what becomes of logins without the ledger.
const denied = "Everybody who is asked for a code is denied here, but for break-glass codes of this machine."

// Examine returns what it finds. On a machine whose ledger is files that is only whether
// they were moved away.
func (e Exam) Examine(ctx context.Context) []finding.Finding {
	x := &exam{Exam: e}
	if x.Settings.Ledger == nil {
		x.old()
		return x.findings
	}
	x.text, _ = target.Read("", e.Path)
	x.left()
	x.certificates()
	if x.Ask == nil {
		f := finding.NotLookedAt(finding.Note, "whether etcd can be reached, and how its members are", "--offline was given")
		f.Fix = "Run otpctl doctor without --offline."
		x.add("etcd", f)
		return x.findings
	}
	status, err := x.Ask(ctx, *x.Settings.Ledger)
	if err != nil {
		x.add("etcd", finding.Finding{Severity: finding.Error, ID: "ledger-unreachable", What: "The ledger cannot be reached: " + err.Error() + ".",
			Follows: denied, Fix: "systemctl enable --now otpgate-ledgerd.socket; systemctl status otpgate-ledgerd says why it does not run."})
		return x.findings
	}
	x.started(status)
	x.reachable(status)
	x.rights(status)
	x.forgotten(ctx)
	x.elsewhere(ctx)
	for _, m := range status.Members {
		if m.Version != "" {
			x.member(m)
			x.ofMember(m)
		}
	}
	return x.findings
}

// started looks at whether otpgate-ledgerd runs with what the configuration says: a
// server that keeps to another prefix, or another etcd, has a ledger of its own.
func (e *exam) started(status casledger.Status) {
	f := finding.Finding{Severity: finding.Error, ID: "ledger-not-restarted",
		Follows: "Where servers differ in this, each takes every code once.", Fix: "systemctl restart otpgate-ledgerd, on every server."}
	if prefix := e.Settings.Ledger.Prefix; status.Prefix != prefix {
		f.What = fmt.Sprintf("otpgate-ledgerd keeps the ledger under %q, expected %q as the configuration says.", status.Prefix, prefix)
		e.add("prefix", f)
	}
	var asked []string
	for _, m := range status.Members {
		asked = append(asked, m.URL)
	}
	expected := slices.Sorted(slices.Values(e.Settings.Ledger.Etcd))
	slices.Sort(asked)
	if !slices.Equal(asked, expected) {
		f.What = fmt.Sprintf("otpgate-ledgerd asks %s, expected %s as the configuration says.", strings.Join(asked, ", "), strings.Join(expected, ", "))
		e.add("etcd", f)
	}
}

// reachable looks at how many members answer, and how many there are.
func (e *exam) reachable(status casledger.Status) {
	size, answered := max(status.Size, len(status.Members)), 0
	var problems []string
	for _, m := range status.Members {
		if m.Version != "" {
			answered++
			continue
		}
		problems = append(problems, m.URL+": "+m.Problem)
	}
	most := size/2 + 1
	switch {
	case answered == 0:
		e.add("etcd", finding.Finding{Severity: finding.Error, ID: "ledger-unreachable", What: "No member of etcd answers: " + strings.Join(problems, "; ") + ".",
			Follows: denied, Fix: "On each of them: systemctl status etcd. If it is the certificates, see docs/ledger.md."})
	case len(status.Members) == size && answered < most:
		e.add("etcd", finding.Finding{Severity: finding.Error, ID: "ledger-unreachable", What: fmt.Sprintf("Of %d members of etcd only %d answers: %s.", size, answered, strings.Join(problems, "; ")),
			Follows: denied, Fix: "On the others: systemctl status etcd. If it is the certificates, see docs/ledger.md."})
	case len(problems) > 0:
		e.add("etcd", finding.Finding{Severity: finding.Warning, ID: "ledger-member", What: "A member of etcd does not answer: " + strings.Join(problems, "; ") + ".",
			Follows: fmt.Sprintf("As soon as fewer than %d of %d work, everybody who is asked for a code is denied on every server.", most, size),
			Fix:     "There: systemctl status etcd. If it is gone for good, replace it by etcdctl member remove and member add."})
	}
	if answered > 0 && size < 3 {
		e.add("etcd", finding.Finding{Severity: finding.Warning, ID: "ledger-few-members", What: fmt.Sprintf("etcd has %s.", finding.Count(size, "member")),
			Follows: "While one is down, everybody who is asked for a code is denied on every server.", Fix: "Let it have three, on three machines: docs/ledger.md."})
	}
}

// unreachable says whether that has been found: whoever asks etcd then waits in vain.
func (e *exam) unreachable() bool {
	return slices.ContainsFunc(e.findings, func(f finding.Finding) bool { return f.ID == "ledger-unreachable" })
}

// rights looks at what etcd lets this machine do. Where no majority answers, or etcd is
// full, that has been said.
func (e *exam) rights(status casledger.Status) {
	known := e.unreachable() ||
		slices.ContainsFunc(status.Members, func(m casledger.Member) bool { return len(m.Alarms) > 0 })
	if status.Refused != "" && !known {
		e.add("etcd", finding.Finding{Severity: finding.Error, ID: "ledger-refused", What: "The ledger in etcd cannot be read and changed: " + status.Refused + ".",
			Follows: "Everybody who is asked for a code is denied here.", Fix: "Give the user in etcd that is the common name of certificate_file its role: docs/ledger.md."})
	}
	if status.Unguarded {
		e.add("etcd", finding.Finding{Severity: finding.Warning, ID: "ledger-unguarded", What: "etcd lets this machine read keys that are not the ledger's.",
			Follows: "If etcd asks nobody who they are, whoever has any certificate by an authority of etcd's, or an account on a machine where it listens without TLS, can make used codes good again. If it does, this machine's role allows more than it should.",
			Fix:     "Make users and one role for prefix, and then etcdctl auth enable: docs/ledger.md."})
	}
}

// member looks at what a member says of itself.
func (e *exam) member(m casledger.Member) {
	if lossy(m.Version) {
		e.add("etcd", finding.Finding{Severity: finding.Error, ID: "ledger-version", What: m.URL + " runs etcd " + m.Version + ", which can lose or damage what it keeps.",
			Follows: "A code that was used may count as unused.", Fix: "Install 3.4.22 or later, or 3.5.6 or later: apt-get install etcd-server."})
	}
	if len(m.Alarms) > 0 {
		e.add("etcd", finding.Finding{Severity: finding.Error, ID: "ledger-alarm", What: m.URL + " reports: " + strings.Join(m.Alarms, ", ") + ".",
			Follows: "It takes no changes while there is an alarm, and nobody gets in by a code.",
			Fix:     "For NOSPACE free space by etcdctl compact and etcdctl defrag, then etcdctl alarm disarm. For CORRUPT replace the member."})
	}
	if m.Quota > 0 && m.InUse > m.Quota/2 {
		e.add("etcd", finding.Finding{Severity: finding.Warning, ID: "ledger-quota",
			What:    fmt.Sprintf("%s uses %d MiB of the %d MiB that it may.", m.URL, m.InUse>>20, m.Quota>>20),
			Follows: "When it is full it takes no changes, and nobody gets in by a code.",
			Fix:     "Set --auto-compaction-mode=periodic and --auto-compaction-retention=1h, or a larger --quota-backend-bytes, on every member."})
	}
	if off := m.Clock.Sub(m.Asked); !m.Clock.IsZero() && off.Abs() > apart {
		e.add("etcd", finding.Finding{Severity: finding.Warning, ID: "ledger-clock",
			What:    fmt.Sprintf("The clock of %s is %s off this machine's.", m.URL, off.Abs().Round(time.Second)),
			Follows: "Servers whose clocks differ take a code at different times, and lock people for different times.",
			Fix:     "Let a time service keep both: timedatectl."})
	}
}

// apart is how far clocks may be: the half minute for which a code is shown, as between
// clients and servers.
const apart = 30 * time.Second

// lossy says whether a version of etcd has a known fault by which data was lost: before
// 3.4.22, and from 3.5.0 to 3.5.5.
func lossy(version string) bool {
	var major, minor, patch int
	if n, _ := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); n < 3 {
		return false // nothing is known of it
	}
	return major < 3 || major == 3 && (minor < 4 || minor == 4 && patch < 22 || minor == 5 && patch < 6)
}

// elsewhere looks at whether other servers have people in etcd where this one has files.
func (e *exam) elsewhere(ctx context.Context) {
	if e.People == nil || e.Settings.Ledger.People || e.unreachable() {
		return
	}
	// What else keeps them from being asked for is said of the ledger.
	if has, err := e.People(ctx, *e.Settings.Ledger); err != nil || !has {
		return
	}
	e.add("people", finding.Finding{Severity: finding.Error, ID: "people-elsewhere",
		What:    "Secret files are in etcd, and ledger.people is not true here.",
		Follows: "Whoever has not enrolled in the files of this server may have enrolled on another one. Such people are denied here, but for break-glass codes of this machine, unless they are exempt.",
		Fix:     "Set ledger.people = true as on the other servers, and run otpctl ledger move --people. If no server has people in etcd any more: etcdctl del --prefix " + e.Settings.Ledger.Prefix + casledger.TextDirectory})
}
