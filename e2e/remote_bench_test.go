package e2e

import (
	"net"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// BenchmarkLoadNextLogin measures the first logins after a server was lost: on the
// client that asked it last and has connections to it, and on one that has none. Then
// the other one is lost too, and the denial is measured.
func BenchmarkLoadNextLogin(b *testing.B) {
	for _, how := range losses {
		b.Run(how.name, func(b *testing.B) {
			servers, clients := ownFleet(b, "r-next-"+strings.ReplaceAll(how.name, " ", "-"), "", machine.Client{Timeout: "3s"})
			times := loginTimes{}
			login := func(what string, client machine.Site, want bool) *machine.Person {
				b.Helper()
				p := machine.WithoutUser("rem").Enroll(b, servers[0].Users)
				times.time(b, what, func() {
					if in := remoteLogin(b, client, p, p.Code(b, 0)); in != want {
						b.Errorf("%s: in %v\n%s", what, in, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
					}
				})
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
			times.log(b, how.name)
		})
	}
}

// BenchmarkLoadStalled measures logins through a gateway to which a thousand connections
// are open that say nothing, and to which another thousand come meanwhile.
func BenchmarkLoadStalled(b *testing.B) {
	server := machine.NewServer(b, "r-stall-s", "")
	client := machine.NewClient(b, "r-stall", machine.Client{}, server)
	client.CodeOnly(b, client.Name, "protocol=ssh")
	times := loginTimes{}
	logins := func(what string, before func()) {
		b.Helper()
		for range 100 {
			p := machine.WithoutUser("rem").Enroll(b, server.Users)
			before()
			times.time(b, what, func() {
				if !remoteLogin(b, client, p, p.Code(b, 0)) {
					b.Errorf("%s: not in", what)
				}
			})
		}
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
	times.log(b, "a server")
}
