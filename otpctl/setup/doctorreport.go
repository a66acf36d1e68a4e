package setup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// reporting is where doctor leaves what it found for those who do not read along.
type reporting struct {
	log     bool
	metrics string // a file's path, "" for none
}

// report leaves the findings in a line of the log and in a file of metrics. The line
// is written whatever becomes of the file.
func report(a *invocation.App, to reporting, findings []finding.Finding) error {
	if to.log {
		a.Sink().Write(examined(findings))
	}
	if to.metrics == "" {
		return nil
	}
	if err := writeMetrics(to.metrics, metricsOf(findings, a.Now())); err != nil {
		return fmt.Errorf("--metrics: %w", err)
	}
	return nil
}

// tally counts findings. Those that are excused count apart.
type tally struct {
	bySeverity map[finding.Severity]int
	excused    int
	// ids are how many there are of each kind.
	ids map[finding.Severity]map[string]int
}

var severities = []finding.Severity{finding.Error, finding.Warning, finding.Note}

func count(findings []finding.Finding) tally {
	t := tally{bySeverity: map[finding.Severity]int{}, ids: map[finding.Severity]map[string]int{}}
	for _, severity := range severities {
		t.ids[severity] = map[string]int{}
	}
	for _, f := range findings {
		if f.Excused != "" {
			t.excused++
			continue
		}
		t.bySeverity[f.Severity]++
		t.ids[f.Severity][f.ID]++
	}
	return t
}

// examined is the audit line of an examination. The kinds of notes and of what is
// excused are left out: they ask for nothing.
func examined(findings []finding.Finding) audit.Record {
	t := count(findings)
	record := audit.Record{TTY: invocation.Tty(), Verdict: audit.Examined, Rule: audit.RuleNothingWrong}
	switch worst, found := finding.Worst(findings); {
	case !found || worst == finding.Note:
	case worst == finding.Warning:
		record.Rule = audit.RuleWarnings
	default:
		record.Rule = audit.RuleErrors
	}
	var parts []string
	for _, severity := range severities {
		n := t.bySeverity[severity]
		if n == 0 {
			continue
		}
		part := finding.Count(n, severity.String())
		if severity != finding.Note {
			part += ": " + strings.Join(sortedKeys(t.ids[severity]), ", ")
		}
		parts = append(parts, part)
	}
	if t.excused > 0 {
		parts = append(parts, fmt.Sprintf("%d excused", t.excused))
	}
	record.Reason = strings.Join(append(parts, "by "+invocation.Whoami()), "; ")
	return record
}

func sortedKeys(counts map[string]int) []string {
	var keys []string
	for key := range counts {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// metricsOf are the findings in the text format of Prometheus (version 0.0.4). The
// series of each severity are there with 0 too, so that a rule tells "nothing" from
// "not looked at".
func metricsOf(findings []finding.Finding, now time.Time) string {
	t := count(findings)
	var text strings.Builder
	head := func(name, help string) {
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %[1]s gauge\n", name, help)
	}
	head("otpgate_doctor_findings", "Findings of otpctl doctor by severity, and those that are excused.")
	for _, severity := range severities {
		fmt.Fprintf(&text, "otpgate_doctor_findings{severity=%q} %d\n", severity.String(), t.bySeverity[severity])
	}
	fmt.Fprintf(&text, "otpgate_doctor_findings{severity=\"excused\"} %d\n", t.excused)
	head("otpgate_doctor_finding", "Findings that are not excused, by severity and kind.")
	for _, severity := range severities {
		for _, id := range sortedKeys(t.ids[severity]) {
			fmt.Fprintf(&text, "otpgate_doctor_finding{severity=%q,id=%q} %d\n", severity.String(), id, t.ids[severity][id])
		}
	}
	head("otpgate_doctor_last_run_timestamp_seconds", "When otpctl doctor last examined the machine.")
	fmt.Fprintf(&text, "otpgate_doctor_last_run_timestamp_seconds %d\n", now.Unix())
	return text.String()
}

// writeMetrics replaces a file that everybody may read: whoever collects metrics is
// nobody special.
func writeMetrics(path, text string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	dir, err := safefile.OpenDir(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("the file goes into a directory of root's that is there already: %w", err)
	}
	defer dir.Close()
	// The node exporter takes every file of its directory for whole that ends in .prom.
	name := filepath.Base(path)
	return safefile.ReplaceBy(dir, "."+name+".new", name, []byte(text), 0o644)
}
