package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// expectDocumented compares what is counted with the dashboard, the rules and the page.
func expectDocumented(t *testing.T, counted []string, page string) {
	t.Helper()
	shown := named(t, metricName, readFile(t, "../packaging/grafana/otpgate.json"))
	if !slices.Equal(shown, counted) {
		t.Errorf("the programs count\n%q\nand the dashboard has\n%q", counted, shown)
	}
	for _, name := range named(t, metricName, readFile(t, "../packaging/prometheus/otpgate.rules.yml")) {
		if !slices.Contains(counted, name) {
			t.Errorf("the rules have %s, which nobody counts", name)
		}
	}
	for _, name := range counted {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/monitoring.md says nothing of %s", name)
		}
	}
}

// What the programs count is on the dashboard, and nothing else is there or in the
// rules; and a real Prometheus that is set up as docs/monitoring.md says reads all of
// it and raises an alert.
func TestMetricsAreWatched(t *testing.T) {
	t.Parallel()
	page := readFile(t, "../docs/monitoring.md")
	settings := regexp.MustCompile("(?s)```toml\n# /etc/otpgate/otpgate.toml\n(.*?)```").FindStringSubmatch(page)
	scraping := regexp.MustCompile("(?s)```yaml\n# /etc/prometheus/prometheus.yml\n(.*?)```").FindStringSubmatch(page)
	link := regexp.MustCompile(`(?m)^ln -s (\S+) (\S+)$`).FindStringSubmatch(page)
	if settings == nil || scraping == nil || link == nil {
		t.Fatal("docs/monitoring.md does not say how Prometheus is set up")
	}
	verifier, server, _ := strings.Cut(settings[1], "[sftp]\n")

	site := machine.Resident.NewSite(t, "watched", verifier)
	s := startSFTPD(t, "watched-sftp", noCodes, patient+server)
	newFiles(t, s)
	must(t, os.MkdirAll(filepath.Dir(link[1]), 0o755))
	site.CodeOnly(t, site.Name, "protocol=ssh")
	otpctl(t, 0, "--config="+site.Config, "doctor", "--service="+site.Name, "--ignore=clock-unsynchronised", "--ignore=state-volatile", "--metrics="+link[1])
	hosts.StartNodeExporter(t, "127.0.0.1:9100")
	must(t, os.Symlink(link[1], link[2]))
	t.Cleanup(func() { must(t, os.Remove(link[2])) })

	counted := named(t, regexp.MustCompile(`(?m)^# TYPE (otpgate_\w+)`),
		body(t, "http://127.0.0.1:9151/metrics"), body(t, "http://127.0.0.1:9152/metrics"), readFile(t, link[1]))
	expectDocumented(t, counted, page)

	rules, err := filepath.Abs("../packaging/prometheus/otpgate.rules.yml")
	must(t, err)
	prometheus := hosts.StartPrometheus(t, "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"+
		strings.Replace(scraping[1], "/usr/share/otpgate/prometheus/otpgate.rules.yml", rules, 1))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\n%s\n%s", body(t, prometheus.URL("/api/v1/alerts")), body(t, prometheus.URL("/api/v1/targets")), prometheus.Output())
		}
	})
	prometheusHas := func(metric string) func() bool {
		return func() bool {
			return strings.Contains(body(t, prometheus.URL("/api/v1/query?query="+metric)), `"__name__":"`+metric+`"`)
		}
	}
	for _, metric := range []string{"otpgate_dialogue_seconds_count", "otpgate_sftp_connections", "otpgate_doctor_last_run_timestamp_seconds"} {
		machine.Until(t, "Prometheus has "+metric, prometheusHas(metric))
	}
	// Somebody's secret file is broken, which is the first fault of its kind.
	p := machine.WithoutUser("watched")
	p.Write(t, site.Users, "this is no secret file")
	t.Cleanup(func() { must(t, os.Remove(filepath.Join(site.Users, p.Name+".toml"))) })
	if verdict := hosts.StartHost(t, site.Name, p.Name, hosts.HostOptions{}).Verdict(t); verdict == hosts.PAMSuccess {
		t.Error("in with a broken secret file")
	}
	machine.Until(t, "the alert fires", func() bool { return fires(t, prometheus, "OtpgateFaults", "otpgate", "secret-file") })
}

var metricName = regexp.MustCompile(`\b(otpgate_[a-z_]+)`)

// named are the metrics that texts name, sorted, each once, and a histogram by its
// own name.
func named(t *testing.T, pattern *regexp.Regexp, texts ...string) []string {
	t.Helper()
	var names []string
	for _, text := range texts {
		for _, match := range pattern.FindAllStringSubmatch(text, -1) {
			name := match[1]
			if histogram, ok := strings.CutPrefix(name, "otpgate_dialogue_seconds_"); ok && histogram != "" {
				name = "otpgate_dialogue_seconds"
			}
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Fatal("no metrics")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// fires says whether an alert does, for that job and rule.
func fires(t *testing.T, prometheus hosts.Prometheus, alert, job, rule string) bool {
	t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	if err := json.Unmarshal([]byte(body(t, prometheus.URL("/api/v1/alerts"))), &answer); err != nil {
		t.Fatal(err)
	}
	for _, a := range answer.Data.Alerts {
		if a.Labels["alertname"] == alert && a.Labels["job"] == job && a.Labels["rule"] == rule && a.State == "firing" {
			return true
		}
	}
	return false
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

// body is what a page says.
func body(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	return string(text)
}
