package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
)

// metrics counts for operators, in the text format of Prometheus (version
// 0.0.4). Names of people and addresses are never labels.
type metrics struct {
	mu        sync.Mutex
	verdicts  map[[3]string]uint64 // service, verdict, rule
	sent      map[[2]string]uint64 // kind, result
	made      map[string][]string  // services that programs of a peer have named
	latency   [len(buckets) + 1]uint64
	seconds   float64
	ledger    uint64
	protocol  uint64
	refusals  uint64
	dialogues uint64
}

// buckets are upper bounds in seconds. Most of a dialogue is a person typing,
// so they reach far.
var buckets = [...]float64{.001, .0025, .005, .01, .025, .05, .1, .5, 1, 5, 15, 60, 300}

func newMetrics() *metrics {
	return &metrics{verdicts: map[[3]string]uint64{}, sent: map[[2]string]uint64{}, made: map[string][]string{}}
}

// maxSeries bounds what services and rules can make of the memory; what is
// beyond is counted as other.
const (
	maxSeries = 500
	other     = "other"
)

// maxMade is how many services that [services] does not name are counted apart for
// the programs of one user: a server that was taken over must not take the series of
// everybody else's.
const maxMade = 8

// hasRoom says whether a service that programs of peer name is counted apart.
func (m *metrics) hasRoom(peer, service string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	made := m.made[peer]
	if slices.Contains(made, service) {
		return true
	}
	if len(made) >= maxMade {
		return false
	}
	m.made[peer] = append(made, service)
	return true
}

// isService says whether a file of pam.d may be called that. Prometheus refuses all
// there is for a label that is not UTF-8.
func isService(name string) bool {
	const longest = 64
	return len(name) <= longest && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"\\/{}`, r) })
}

// decision counts what an audit record says.
func (m *metrics) decision(r audit.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Rule == "ledger" {
		m.ledger++
	}
	key := [3]string{r.Service, r.Verdict, r.Rule}
	// A factor's id is the person's own word.
	if kind, _, found := strings.Cut(r.Rule, ":"); found {
		key[2] = kind
	}
	if r.Verdict == "sent" || r.Verdict == "not-sent" {
		m.sent[[2]string{key[2], r.Verdict}]++
		return
	}
	if _, known := m.verdicts[key]; !known && len(m.verdicts) >= maxSeries {
		key = [3]string{other, r.Verdict, other}
	}
	m.verdicts[key]++
}

// dialogue counts one dialogue that took so long.
func (m *metrics) dialogue(took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dialogues++
	m.seconds += took.Seconds()
	m.latency[sort.SearchFloat64s(buckets[:], took.Seconds())]++
}

func (m *metrics) broken()      { m.mu.Lock(); m.protocol++; m.mu.Unlock() }
func (m *metrics) refusedPeer() { m.mu.Lock(); m.refusals++; m.mu.Unlock() }

// write prints the metrics.
func (m *metrics) write(w io.Writer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var text strings.Builder
	head := func(name, kind, help string) {
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	head("otpgate_verdicts_total", "counter", "Decisions by PAM service, verdict and the rule that decided.")
	keys := make([][3]string, 0, len(m.verdicts))
	for key := range m.verdicts {
		keys = append(keys, key)
	}
	sort.Slice(keys, func(i, j int) bool { return fmt.Sprint(keys[i]) < fmt.Sprint(keys[j]) })
	for _, key := range keys {
		fmt.Fprintf(&text, "otpgate_verdicts_total{service=%s,verdict=%s,rule=%s} %d\n", label(key[0]), label(key[1]), label(key[2]), m.verdicts[key])
	}
	head("otpgate_deliveries_total", "counter", "Codes by the kind of factor or the rule, and whether they were sent.")
	for _, key := range slices.SortedFunc(maps.Keys(m.sent), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		fmt.Fprintf(&text, "otpgate_deliveries_total{kind=%s,result=%s} %d\n", label(key[0]), label(key[1]), m.sent[key])
	}
	head("otpgate_dialogue_seconds", "histogram", "Time from a front's question to the verdict, the person's typing included.")
	total := uint64(0)
	for i, bound := range buckets {
		total += m.latency[i]
		fmt.Fprintf(&text, "otpgate_dialogue_seconds_bucket{le=\"%g\"} %d\n", bound, total)
	}
	fmt.Fprintf(&text, "otpgate_dialogue_seconds_bucket{le=\"+Inf\"} %d\notpgate_dialogue_seconds_sum %g\notpgate_dialogue_seconds_count %d\n", m.dialogues, m.seconds, m.dialogues)
	for _, counter := range []struct {
		name, help string
		value      uint64
	}{
		{"otpgate_ledger_errors_total", "Logins denied because the ledger could not be read or written.", m.ledger},
		{"otpgate_protocol_errors_total", "Dialogues that a peer broke off or garbled.", m.protocol},
		{"otpgate_refused_peers_total", "Connections refused for having too many open, or for beginning too many in a minute.", m.refusals},
	} {
		head(counter.name, "counter", counter.help)
		fmt.Fprintf(&text, "%s %d\n", counter.name, counter.value)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// label quotes a value as the format wants it.
func label(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// counting is a sink that counts what goes to the log.
type counting struct {
	audit.Sink
	metrics *metrics
	// unprivileged says that the service is an ordinary user's word, who could make
	// up more than are counted apart: it must then be one of services. A peer in
	// verifier.allow, which may have been taken over, may have a few others.
	unprivileged bool
	services     map[string]config.Protocol
	// peer says in the log whose program asks, empty for root's.
	peer string
	// client and id say of a client's login whose it is, and which.
	client, id string
}

// Write implements audit.Sink.
func (c counting) Write(r audit.Record) {
	r.Peer = c.peer
	if c.client != "" {
		r.Client, r.ID = c.client, c.id
	}
	c.Sink.Write(r)
	if r.Verdict == "" {
		return // a line that the argument debug adds
	}
	if !c.countsApart(r.Service) {
		r.Service = other
	}
	c.metrics.decision(r)
}

func (c counting) countsApart(service string) bool {
	_, known := c.services[service]
	switch {
	case !isService(service):
		return false
	case known || service == "":
		return true
	case c.unprivileged:
		return false
	}
	return c.peer == "" || c.metrics.hasRoom(c.peer, service)
}
