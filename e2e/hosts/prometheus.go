package hosts

import (
	"os"

	"github.com/otpgate/otpgate/e2e/machine"
)

// Prometheus is a Prometheus of the machine's own.
type Prometheus struct{ *daemon }

// StartPrometheus starts one with that configuration.
func StartPrometheus(t machine.T, config string) Prometheus {
	t.Helper()
	d := newDaemon(t, "prometheus")
	d.start(t, d.listens, "prometheus", "--config.file="+d.write(t, "prometheus.yml", config), "--storage.tsdb.path="+d.dir+"/data",
		"--web.listen-address="+d.address(), "--log.level=warn")
	return Prometheus{d}
}

// URL is one of a path there.
func (p Prometheus) URL(path string) string { return "http://" + p.address() + path }

// Output is what it has said.
func (p Prometheus) Output() string { return p.output.String() }

// TextfileDirectory is where Debian's node exporter finds other programs' metrics.
const TextfileDirectory = "/var/lib/prometheus/node-exporter"

// StartNodeExporter starts Debian's node exporter with its own user, and nothing but
// the metrics of other programs, at that address.
func StartNodeExporter(t machine.T, address string) {
	t.Helper()
	if err := os.MkdirAll(TextfileDirectory, 0o755); err != nil {
		t.Fatalf("make a directory for the node exporter: %v", err)
	}
	d := newDaemon(t, "node-exporter")
	ready := func() bool { return listensAt(address) }
	d.start(t, ready, "setpriv", "--reuid=prometheus", "--regid=prometheus", "--clear-groups", "prometheus-node-exporter",
		"--web.listen-address="+address, "--collector.disable-defaults", "--collector.textfile", "--collector.textfile.directory="+TextfileDirectory)
}
