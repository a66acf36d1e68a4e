package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/testaddress"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// The text format of Prometheus, version 0.0.4.
var metricsLine = regexp.MustCompile(`^(# (HELP [a-z_]+ .+|TYPE [a-z_]+ (counter|histogram))|[a-z_]+(\{[a-z]+="([^"\\\n]|\\[\\"n])*"(,[a-z]+="([^"\\\n]|\\[\\"n])*")*\})? [0-9.e+-]+)$`)

func get(t *testing.T, network, address string) string {
	t.Helper()
	web := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}}
	defer web.CloseIdleConnections()
	response, err := web.Get("http://verifier/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%s, %v, %v", response.Status, response.Header, err)
	}
	for line := range strings.Lines(string(body)) {
		if !metricsLine.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("not in the format: %q", line)
		}
	}
	return string(body)
}

func TestMetricsServed(t *testing.T) {
	p := newInstallation(t, "", wide)
	unixPath := filepath.Join(p.dir, "metrics.sock")
	for network, address := range map[string]string{"tcp": testaddress.Kept(t, "127.0.0.1"), "unix": unixPath} {
		t.Run(network, func(t *testing.T) {
			p.served(t, network, address)
		})
	}
	// Off unless it is asked for.
	p.configure(t, wide)
	if n := p.run(t).sockets(t); n != lasting {
		t.Errorf("%d sockets without metrics, want the verifier's own %d", n, lasting)
	}
}

// served has the figures at address, in a verifier of its own.
func (p *installation) served(t *testing.T, network, address string) {
	t.Helper()
	alice := p.enroll(t, "alice-"+network)
	inFile := strings.TrimPrefix(network+":"+address, "tcp:")
	p.configure(t, wide+fmt.Sprintf("[verifier]\nmetrics = %q\n", inFile))
	process := p.run(t)
	for i, answers := range [][]string{{alice.code(t)}, {alice.code(t)}, {alice.wrong(t), alice.wrong(t), alice.wrong(t)}, {alice.code(t)}} {
		if _, _, err := dial(t, p.socket).login(p.start(alice.name), answers...); err != nil {
			t.Errorf("login %d: %v", i, err)
		}
	}
	text := get(t, network, address)
	for _, want := range []string{
		`otpgate_verdicts_total{service="sshd",verdict="accepted",rule="totp"} 3` + "\n",
		`otpgate_verdicts_total{service="sshd",verdict="denied",rule="policy.attempts.per_login"} 1` + "\n",
		`otpgate_dialogue_seconds_bucket{le="+Inf"} 4` + "\n", "otpgate_dialogue_seconds_count 4\n",
		"otpgate_ledger_errors_total 0\n", "otpgate_refused_peers_total 0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "alice") || strings.Contains(text, "phone") {
		t.Errorf("a person is named in\n%s", text)
	}
	if info, err := os.Stat(address); network == "unix" && (err != nil || info.Mode().Perm() != 0o660) {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	before := process.descriptors(t)
	crowd(t, network, address)
	testwait.Until(t, "as many readers as there may be", func() bool { return process.descriptors(t) > before })
	if n := process.descriptors(t); n > 30 {
		t.Errorf("%d descriptors while many ask for the figures", n)
	}
	if verdict, _, err := dial(t, p.socket).login(p.start(alice.name), alice.code(t)); verdict != wire.Accept {
		t.Errorf("while many ask for the figures: %v, %v", verdict, err)
	}
	_ = process.Process.Signal(os.Interrupt)
	if err := process.wait(t); err != nil {
		t.Error(err)
	}
}

// crowd has many connections ask for nothing.
func crowd(t *testing.T, network, address string) {
	t.Helper()
	for range 60 {
		conn, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

func (p *process) links(t testing.TB) []string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", p.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var links []string
	for _, entry := range entries {
		link, _ := os.Readlink(filepath.Join(dir, entry.Name()))
		links = append(links, link)
	}
	return links
}

func (p *process) descriptors(t testing.TB) int { return len(p.links(t)) }

// lasting are the sockets of a verifier that nobody asks: one listens, and one
// leads to the log.
const lasting = 2

// sockets leaves out the connection that asked whether there is one.
func (p *process) sockets(t testing.TB) int {
	count := 0
	testwait.Until(t, "no connection", func() bool {
		count = 0
		for _, link := range p.links(t) {
			if strings.HasPrefix(link, "socket:") {
				count++
			}
		}
		return count <= lasting
	})
	return count
}

// Names that strangers make up are counted together, and never drive out those
// of real services.
func TestMetricsSeries(t *testing.T) {
	m := newMetrics()
	ordinaryUser := counting{Sink: &records{}, metrics: m, unprivileged: true}
	host := counting{Sink: &records{}, metrics: m}
	for i := range 2 * maxSeries {
		ordinaryUser.Write(audit.Record{Service: strconv.Itoa(i), Verdict: "denied", Rule: "peer"})
	}
	for _, odd := range []string{`a"b\c` + "\n", "\xff\xfe", "ssh d", "ß", strings.Repeat("a", 65)} {
		host.Write(audit.Record{Service: odd, Verdict: "accepted", Rule: "totp:of alice"})
	}
	// A web server that was taken over has a few names of its own.
	for _, peer := range []string{"uid 33", "uid 34"} {
		web := counting{Sink: &records{}, metrics: m, peer: peer, services: map[string]config.Protocol{"apache": "https"}}
		for i := range 2 * maxSeries {
			web.Write(audit.Record{Service: "made-" + strconv.Itoa(i), Verdict: "denied", Rule: "code"})
		}
		web.Write(audit.Record{Service: "apache", Verdict: "denied", Rule: "code"})
		web.Write(audit.Record{Service: "made-1", Verdict: "denied", Rule: "code"})
	}
	for _, rule := range []string{"email:of alice", "email:of bob", "sms:of bob"} {
		host.Write(audit.Record{Service: "sshd", Verdict: "sent", Rule: rule})
	}
	host.Write(audit.Record{Service: "sshd", Verdict: "not-sent", Rule: "sent.per_hour"})
	var text strings.Builder
	if err := m.write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf(`{service="other",verdict="denied",rule="peer"} %d`+"\n", 2*maxSeries),
		`{service="other",verdict="accepted",rule="totp"} 5` + "\n",
		`{service="apache",verdict="denied",rule="code"} 2` + "\n", `{service="made-1",verdict="denied",rule="code"} 4` + "\n",
		fmt.Sprintf(`{service="other",verdict="denied",rule="code"} %d`+"\n", 2*(2*maxSeries-maxMade)),
		`otpgate_deliveries_total{kind="email",result="sent"} 2` + "\n" + `otpgate_deliveries_total{kind="sent.per_hour",result="not-sent"} 1` + "\n" +
			`otpgate_deliveries_total{kind="sms",result="sent"} 1` + "\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	for i := range 2 * maxSeries {
		host.Write(audit.Record{Service: strconv.Itoa(i), Verdict: "accepted"})
	}
	if len(m.verdicts) > maxSeries+10 {
		t.Errorf("%d series", len(m.verdicts))
	}
}

// The line that debug in pam.d adds to the log decides nothing, so it counts
// as no verdict.
func TestDebugIsNoVerdict(t *testing.T) {
	r := newRig(t, wide, unhurried)
	alice := r.enroll(t, "alice")
	start := r.start("alice")
	start.Debug = true
	if verdict, _, err := dial(t, r.socket).login(start, alice.code(t)); verdict != wire.Accept {
		t.Fatalf("%v, %v", verdict, err)
	}
	if lines := r.log.take(t, 2); lines[0].Rule != "debug" {
		t.Errorf("the first line is %+v", lines[0])
	}
	if got := strings.Count(r.figures(t), "otpgate_verdicts_total{"); got != 1 {
		t.Errorf("%d verdicts are counted, expected one:\n%s", got, r.figures(t))
	}
}
