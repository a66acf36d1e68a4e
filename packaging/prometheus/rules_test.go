// Package prometheus_test has Prometheus' own tools look at the alerts and at the
// dashboard that are shipped. That their metrics are those of the programs is
// TestMetricsAreWatched of e2e.
package prometheus_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const dashboard = "../grafana/otpgate.json"

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if output, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, output)
	}
}

// Prometheus takes the rules, and each alert fires by what it is for and by nothing
// that looks like it.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", "otpgate.rules.yml")
	promtool(t, "test", "rules", "testdata/alerts_test.yml")
}

// Each alert has a test by which it fires and one by which it does not, and a line
// in docs/monitoring.md.
func TestAlertsAreTested(t *testing.T) {
	t.Parallel()
	rules, tests, page := read(t, "otpgate.rules.yml"), read(t, "testdata/alerts_test.yml"), read(t, "../../docs/monitoring.md")
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if len(alerts) < 10 {
		t.Fatalf("found only %q", alerts)
	}
	for _, alert := range alerts {
		for _, name := range []string{"name: " + alert[1] + ", which fires\n", "name: " + alert[1] + ", which does not fire\n"} {
			if !strings.Contains(tests, name) {
				t.Errorf("there is no test %q", name)
			}
		}
		if !strings.Contains(page, "| `"+alert[1]+"` |") {
			t.Errorf("docs/monitoring.md says nothing of %s", alert[1])
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// panel is what Grafana needs of one, and no more is in it than is looked at here.
type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ H, W, X, Y int }
	Datasource  source
	Targets     []struct {
		RefID, Expr string
		Datasource  source
	}
}

type source struct{ Type, UID string }

// There is no Grafana in Debian, so that this looks at what it would: each panel has
// an id of its own and a place where no other one is, asks the source that the person
// chose, and each expression is one of Prometheus'.
func TestDashboard(t *testing.T) {
	t.Parallel()
	var board struct {
		UID, Title    string
		SchemaVersion int
		Templating    struct{ List []struct{ Name, Type string } }
		Panels        []panel
	}
	if err := json.Unmarshal([]byte(read(t, dashboard)), &board); err != nil {
		t.Fatal(err)
	}
	if board.UID == "" || board.Title == "" || board.SchemaVersion < 36 || len(board.Panels) < 10 {
		t.Errorf("expected a dashboard, found %+v", board)
	}
	variables := map[string]bool{"$__rate_interval": true, "${datasource}": true}
	for _, variable := range board.Templating.List {
		variables["$"+variable.Name] = true
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for _, p := range board.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" || p.Type == "" {
			t.Errorf("%q: expected a title, a type and an id of its own, found %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		place(t, p, taken)
		if p.Type == "row" {
			continue
		}
		chosen := source{Type: "prometheus", UID: "${datasource}"}
		if p.Datasource != chosen || len(p.Targets) == 0 {
			t.Errorf("%s: expected something of %v, found %+v", p.Title, chosen, p)
		}
		for i, target := range p.Targets {
			if target.Datasource != chosen || target.RefID == "" {
				t.Errorf("%s: found %+v", p.Title, target)
			}
			for _, variable := range regexp.MustCompile(`\$\w+`).FindAllString(target.Expr, -1) {
				if !variables[variable] {
					t.Errorf("%s: there is no variable %s", p.Title, variable)
				}
			}
			plain := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
			fmt.Fprintf(&rules, "      - {record: 'panel:%d:%d', expr: '%s'}\n", p.ID, i, strings.ReplaceAll(plain, "'", "''"))
		}
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, []byte(rules.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}

// place expects a panel to be within Grafana's 24 columns, where no other one is.
func place(t *testing.T, p panel, taken map[[2]int]string) {
	t.Helper()
	at := p.GridPos
	if at.H < 1 || at.W < 1 || at.X < 0 || at.X+at.W > 24 {
		t.Errorf("%s: it is at %+v", p.Title, at)
	}
	for x := at.X; x < at.X+at.W; x++ {
		for y := at.Y; y < at.Y+at.H; y++ {
			if other := taken[[2]int{x, y}]; other != "" {
				t.Errorf("%s and %s are in one place", p.Title, other)
				return
			}
			taken[[2]int{x, y}] = p.Title
		}
	}
}
