package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/sftpd/admission"
)

// metrics counts for operators, in the text format of Prometheus (version
// 0.0.4). Names of people and addresses are never labels.
type metrics struct {
	mu       sync.Mutex
	verdicts map[[2]string]uint64 // verdict, rule
	turned   map[string]uint64    // why
	ops      map[[2]string]uint64 // op, result
	read     uint64
	written  uint64
	restarts uint64
}

func newMetrics() *metrics {
	return &metrics{verdicts: map[[2]string]uint64{}, turned: map[string]uint64{}, ops: map[[2]string]uint64{}}
}

// maxSeries bounds what a front can make of the memory.
const maxSeries = 200

func (m *metrics) verdict(r audit.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rule, _, _ := strings.Cut(r.Rule, ":") // a factor's id is the person's own word
	count(m.verdicts, [2]string{r.Verdict, rule})
}

func (m *metrics) event(e audit.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	result := "ok"
	if e.Problem != "" {
		result = "failed"
	}
	count(m.ops, [2]string{kindOf(e.Op), result})
	m.read += e.Read
	m.written += e.Written
}

// kindOf is a kind of operation as it is counted. It is a front's word, which may have been
// taken over: one that Prometheus could not read would cost all figures.
func kindOf(op string) string {
	isOther := func(r rune) bool { return (r < 'a' || r > 'z') && r != '-' }
	if op == "" || len(op) > 32 || strings.ContainsFunc(op, isOther) {
		return "other"
	}
	return op
}

func count(series map[[2]string]uint64, key [2]string) {
	if _, known := series[key]; !known && len(series) >= maxSeries {
		key = [2]string{"other", "other"}
	}
	series[key]++
}

func (m *metrics) turnedAway(why string) { m.mu.Lock(); m.turned[why]++; m.mu.Unlock() }
func (m *metrics) restarted()            { m.mu.Lock(); m.restarts++; m.mu.Unlock() }

// write prints the metrics.
func (m *metrics) write(w io.Writer, connections, atLogin int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var text strings.Builder
	head := func(name, kind, help string) {
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	pairs := func(name, first, second string, series map[[2]string]uint64) {
		keys := make([][2]string, 0, len(series))
		for key := range series {
			keys = append(keys, key)
		}
		slices.SortFunc(keys, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
		for _, key := range keys {
			fmt.Fprintf(&text, "%s{%s=%q,%s=%q} %d\n", name, first, key[0], second, key[1], series[key])
		}
	}
	head("otpgate_sftp_verdicts_total", "counter", "Steps of logins by verdict and the rule that decided.")
	pairs("otpgate_sftp_verdicts_total", "verdict", "rule", m.verdicts)
	head("otpgate_sftp_operations_total", "counter", "Transfers and changes by kind and result.")
	pairs("otpgate_sftp_operations_total", "op", "result", m.ops)
	head("otpgate_sftp_turned_away_total", "counter", "Connections that came to no login, by what refused them.")
	for _, why := range admission.Rules {
		fmt.Fprintf(&text, "otpgate_sftp_turned_away_total{why=%q} %d\n", why, m.turned[why])
	}
	for _, one := range []struct {
		name, kind, help string
		value            int64
	}{
		{"otpgate_sftp_connections", "gauge", "Connections that are open.", connections},
		{"otpgate_sftp_logins_pending", "gauge", "Connections that are at their login.", atLogin},
		{"otpgate_sftp_read_bytes_total", "counter", "Bytes of files that were sent to clients.", int64(m.read)},
		{"otpgate_sftp_written_bytes_total", "counter", "Bytes of files that came from clients.", int64(m.written)},
		{"otpgate_sftp_front_restarts_total", "counter", "Fronts that ended and were started again.", int64(m.restarts)},
	} {
		head(one.name, one.kind, one.help)
		fmt.Fprintf(&text, "%s %d\n", one.name, one.value)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// serveMetrics serves them at address until stop.
func (b *broker) serveMetrics(address string) (stop func(), err error) {
	stop, err = daemon.ServeMetrics(address, func(w io.Writer) error {
		return b.metrics.write(w, b.connections.Load(), int64(b.admission.Pending()))
	})
	if err != nil {
		return nil, fmt.Errorf("sftp.metrics: %w", err)
	}
	return stop, nil
}

// recorder is the broker's log: what is written is counted.
type recorder struct {
	audit.Syslog
	metrics *metrics
}

// Write implements audit.Sink.
func (r recorder) Write(record audit.Record) {
	r.Syslog.Write(record)
	r.metrics.verdict(record)
}

// counter counts what another process has written a line about.
type counter struct{ *metrics }

// Write implements audit.Sink.
func (c counter) Write(record audit.Record) { c.verdict(record) }

// limitedRecorder is the same for what strangers can cause as often as they
// like: all is counted, and not all written.
type limitedRecorder struct{ *broker }

// Write implements audit.Sink.
func (r limitedRecorder) Write(record audit.Record) {
	r.metrics.verdict(record)
	r.limitedLog.Write(record)
}

// Event writes what somebody did.
func (r recorder) Event(event audit.Event) {
	r.Syslog.Event(event)
	r.metrics.event(event)
}
