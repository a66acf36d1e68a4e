package excuse

import (
	"os"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

func shown(findings []finding.Finding) string {
	var text strings.Builder
	for _, f := range findings {
		text.WriteString(f.ID + "(" + strings.Join(f.Services, " ") + ")")
		if f.Excused != "" {
			text.WriteString("=" + f.Excused)
		}
		text.WriteString("\n")
	}
	return text.String()
}

func TestApply(t *testing.T) {
	findings := []finding.Finding{
		{ID: "optional", Services: []string{"su", "sudo", "sshd"}},
		{ID: "control", Severity: finding.Note, Services: []string{"su"}},
		{ID: "log-nowhere", Severity: finding.Warning},
		{ID: "nobody-asked", Services: []string{"login"}},
	}
	excuses := []Excuse{
		{ID: "optional", Service: "sudo", Reason: "a"}, {ID: "optional", Service: "sshd", Reason: "b"},
		{ID: "log-nowhere", Reason: "c"}, {ID: "nobody-asked", Service: "login", Reason: "d"},
		{ID: "control", Reason: "e"}, {ID: "control", Service: "sshd", Reason: "f"},
	}
	const want = `optional(su)
control(su)
excuse-unneeded()
excuse-unneeded()
optional(sudo)=a
optional(sshd)=b
nobody-asked(login)=d
log-nowhere()=c
`
	got := Apply(findings, excuses, "f", true)
	if shown(got) != want {
		t.Errorf("got\n%s\nexpected\n%s", shown(got), want)
	}
	if worst, found := finding.Worst(got); worst != finding.Error || !found {
		t.Errorf("the worst is %v, %v", worst, found)
	}
	if len(findings[0].Services) != 3 {
		t.Errorf("the services of what was given are %v now", findings[0].Services)
	}
	// Of a part of the machine nobody knows what is needed.
	if got := shown(Apply(findings, excuses, "f", false)); got != strings.ReplaceAll(want, "excuse-unneeded()\n", "") {
		t.Errorf("of a part:\n%s", got)
	}
}

// What is excused counts for nothing.
func TestNothingCounts(t *testing.T) {
	got := Apply([]finding.Finding{{ID: "a", Services: []string{"su"}}}, []Excuse{{ID: "a", Service: "su", Reason: "r"}}, "f", true)
	if worst, found := finding.Worst(got); found || worst != finding.Note {
		t.Errorf("the worst is %v, %v", worst, found)
	}
}

// The example of the packages, and that of the manual page, are such files.
func TestExamples(t *testing.T) {
	for _, path := range []string{"../../../packaging/examples/doctor.toml", "../../../packaging/man/otpgate-doctor.5"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		example := string(text)
		if _, within, page := strings.Cut(example, ".Bd -literal -offset indent\n"); page {
			example, _, _ = strings.Cut(within, ".Ed\n")
		}
		if excuses, err := Parse(path, []byte(example)); err != nil || len(excuses) != 1 {
			t.Errorf("%s: %+v, %v", path, excuses, err)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"[[excuse]]\nid = 'log-nowhere'\nreason = 'r'\n":                                               "",
		"[[excuse]]\nid = 'log-nowhere'\n":                                                             "f:1: excuse[1].reason: expected why",
		"[[excuse]]\nreason = 'r'\n":                                                                   "f:1: excuse[1].id: expected the id of a finding",
		"\n[[excuse]]\nid = 'x'\nreason = 'r'\n":                                                       `f:3: excuse[1].id: no finding has the id "x"; expected one that otpctl doctor shows`,
		"[[excuse]]\nid = 'log-nowheer'\nreason = 'r'\n":                                               `f:2: excuse[1].id: no finding has the id "log-nowheer"; did you mean "log-nowhere"?`,
		"[[excuse]]\nid = 'log-nowhere'\nreason = 3\n":                                                 "f:3: excuse[1].reason: expected a text in quotes",
		"[[excuse]]\nid = 'log-nowhere'\nreason = 'r'\n[[excuse]]\nid = 'log-nowhere'\nreason = 'r'\n": "f:5: excuse[2].id: this finding is excused before",
		"[excuse]\nid = 'log-nowhere'\n":                                                               "f:1: excuse[1].reason: expected why",
		"[excuse]\nid = 'log-nowhere'\nreason = 'r'\n":                                                 "",
		"excuses = []\n": "f:1: excuses: unknown key, expected one of excuse",
	} {
		_, err := Parse("f", []byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}
