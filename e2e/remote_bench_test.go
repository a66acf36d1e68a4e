package e2e

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// BenchmarkLoadNextLogin measures the first logins after a server was lost: on the
// client that asked it last and has connections to it, and on one that has none. Then
// the other one is lost too, and the denial is measured.
func BenchmarkLoadNextLogin(b *testing.B) {
	for _, how := range losses {
		b.Run(how.name, func(b *testing.B) {
			servers, clients := fleet(b, "r-next-"+strings.ReplaceAll(how.name, " ", "-"), "", machine.Client{Timeout: "3s"})
			times := map[string][]time.Duration{}
			login := func(what string, client machine.Site, want bool) *machine.Person {
				b.Helper()
				p := machine.WithoutUser("rem").Enroll(b, servers[0].Users)
				begun := time.Now()
				if in := beginAt(b, client, p).Verdict(b, p.Code(b, 0)) == hosts.PAMSuccess; in != want {
					b.Errorf("%s: in %v\n%s", what, in, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
				}
				times[what] = append(times[what], time.Since(begun))
				return p
			}
			for b.Loop() {
				for range 5 {
					lost := tookBy(b, servers, clients[0], login("both are well", clients[0], true))
					how.lose(b, servers[lost])
					login("one is lost, connections kept", clients[0], true)
					login("one is lost, the next one", clients[0], true)
					login("one is lost, another client", clients[1], true)
					how.lose(b, servers[1-lost])
					login("both are lost", clients[0], false)
					how.back(b, servers[0])
					how.back(b, servers[1])
				}
			}
			for what, took := range times {
				logTook(b, what, took)
			}
		})
	}
}

func logTook(b *testing.B, what string, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	n := len(took)
	b.Logf("%-30s %3d logins, p50 %4d ms, p95 %4d ms, at most %4d ms", what, n, took[n/2].Milliseconds(), took[n*95/100].Milliseconds(), took[n-1].Milliseconds())
}

// BenchmarkLoadStalled measures logins through a gateway to which a thousand connections
// are open that say nothing, and to which another thousand come meanwhile.
func BenchmarkLoadStalled(b *testing.B) {
	server := machine.NewServer(b, "r-stall-s", "")
	client := machine.NewClient(b, "r-stall", machine.Client{}, server)
	client.CodeOnly(b, client.Name, "protocol=ssh")
	logins := func(what string, before func()) {
		b.Helper()
		var took []time.Duration
		for range 100 {
			p := machine.WithoutUser("rem").Enroll(b, server.Users)
			before()
			begun := time.Now()
			if !remoteLogin(b, client, p, p.Code(b, 0)) {
				b.Errorf("%s: not in", what)
			}
			took = append(took, time.Since(begun))
		}
		logTook(b, what, took)
	}
	for b.Loop() {
		logins("nobody else", func() {})
		dial := func() {
			conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 9, 9)}}).Dial("tcp", server.Address)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { conn.Close() })
		}
		for range 1000 {
			dial()
		}
		logins("beside stalled connections", func() {
			for range 10 {
				dial()
			}
		})
	}
}
