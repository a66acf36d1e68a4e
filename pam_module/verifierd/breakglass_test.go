package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// oneServer is a server in this process, which does with each connection what do says,
// and the table [remote] of a client of it.
func oneServer(t *testing.T, do func(conn *tls.Conn)) (address string, settings func(dir string) string) {
	t.Helper()
	text, err := pinned.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := pinned.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			bare, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer bare.Close()
				_ = bare.SetDeadline(time.Now().Add(patience))
				do(pinned.Server(bare, key, func(config.KeyHash) error { return nil }))
			}()
		}
	}()
	address = listener.Addr().String()
	return address, func(dir string) string {
		if err := os.WriteFile(dir+"/client.key", text, 0o600); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("[remote]\nservers = [%q]\nserver_keys = [%q]\nkey = %q\ntimeout = \"1m\"\n", address, key.Hash, dir+"/client.key")
	}
}

// clientOf is a client of one server, and root's break-glass codes there.
func clientOf(t *testing.T, do func(conn *tls.Conn)) (r *rig, codes []string) {
	t.Helper()
	_, settings := oneServer(t, do)
	r = newRig(t, settings(t.TempDir()), unhurried)
	codes, kept := breakglass.New("root", time.Now())
	if err := breakglass.Save(r.breakGlass(), kept); err != nil {
		t.Fatal(err)
	}
	return r, codes
}

// closes ends each connection at once.
func closes(*tls.Conn) {}

// With no server a break-glass code is good once, of fifty at once with it one is in, and
// the log says why it was asked for.
func TestBreakGlass(t *testing.T) {
	r, codes := clientOf(t, closes)
	verdict, told, err := dial(t, r.socket).login(r.start("root"), codes[0])
	if verdict != wire.Accept || err != nil || !strings.Contains(told, "Break-glass code accepted. You have 7 left on this machine.") {
		t.Fatalf("%v, %q, %v", verdict, told, err)
	}
	line := r.log.take(t, 1)[0]
	if line.Verdict != "accepted" || line.Rule != "break-glass" || line.ID == "" || line.Server != "" || !strings.Contains(line.Reason, "7 left; a break-glass code was asked for as 127.0.0.1:") {
		t.Errorf("log %+v", line)
	}
	if !strings.Contains(r.figures(t), `otpgate_verdicts_total{service="sshd",verdict="accepted",rule="break-glass"} 1`) {
		t.Error("it is not counted")
	}
	var all sync.WaitGroup
	verdicts := make([]wire.Verdict, 50)
	for i := range verdicts {
		conn := dial(t, r.socket)
		all.Go(func() { verdicts[i], _, _ = conn.login(r.start("root"), codes[1], codes[1], codes[1]) })
	}
	all.Wait()
	in := 0
	for _, verdict := range verdicts {
		if verdict == wire.Accept {
			in++
		} else if verdict != wire.MaxTries {
			t.Errorf("verdict %v", verdict)
		}
	}
	if in != 1 {
		t.Errorf("%d are in", in)
	}
	for _, line := range r.log.take(t, 50) {
		if strings.Contains(line.Reason, codes[1]) {
			t.Errorf("the log has the code: %+v", line)
		}
	}
	// Nobody else is asked, nor a program told anything of others than its own user.
	verdict, told, err = dial(t, r.socket).login(r.start("daemon"))
	if verdict != wire.Fault || err != nil || !strings.Contains(told, "cannot be checked now") {
		t.Errorf("%v, %q, %v", verdict, told, err)
	}
	if verdict, told, err = dialAs(t, alicesUID, r.socket).login(r.start("root")); verdict != wire.Fault || err != nil {
		t.Errorf("asked by a program of alice's: %v, %q, %v", verdict, told, err)
	}
}

// A server that can be reached is the only one to ask: also one that takes no login for
// the moment, and one that has taken it and then dies, is denied at, or asks.
func TestBreakGlassIsNotAskedFor(t *testing.T) {
	take := func(conn *tls.Conn, answer remotewire.Answer) bool {
		_, err := remotewire.ReadTake(conn)
		return err == nil && remotewire.WriteAnswer(conn, answer) == nil
	}
	taken := remotewire.Answer{Taken: true, Ledger: "one"}
	for name, test := range map[string]struct {
		do   func(conn *tls.Conn)
		want wire.Verdict
	}{
		"full":          {func(conn *tls.Conn) { take(conn, remotewire.Answer{Busy: "web1 has 1 logins open", Full: true}) }, wire.Fault},
		"dies at begin": {func(conn *tls.Conn) { take(conn, taken) }, wire.Fault},
		"dies after begin": {func(conn *tls.Conn) {
			if take(conn, taken) {
				_, _ = remotewire.ReadBegin(conn)
			}
		}, wire.Fault},
		"denies": {func(conn *tls.Conn) {
			if take(conn, taken) {
				_, _ = remotewire.ReadBegin(conn)
				_ = remotewire.End(wire.Peer{Stream: conn}, remotewire.Outcome{Verdict: wire.Deny, Rule: "client.users"})
			}
		}, wire.Deny},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := clientOf(t, test.do)
			verdict, told, err := dial(t, r.socket).login(r.start("root"))
			if verdict != test.want || err != nil || strings.Contains(strings.ToLower(told), "break-glass") {
				t.Errorf("%v, %q, %v", verdict, told, err)
			}
		})
	}
}

// A server that says that it cannot decide is as one that cannot be reached.
func TestBreakGlassAtAServerThatCannotDecide(t *testing.T) {
	r, codes := clientOf(t, func(conn *tls.Conn) {
		for {
			if _, err := remotewire.ReadTake(conn); err != nil || remotewire.WriteAnswer(conn, remotewire.Answer{Busy: "its ledger is out of reach"}) != nil {
				return
			}
		}
	})
	if verdict, told, err := dial(t, r.socket).login(r.start("root"), codes[0]); verdict != wire.Accept || err != nil {
		t.Errorf("%v, %q, %v", verdict, told, err)
	}
	path := breakglass.Path(r.breakGlass(), "root")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_ = r.log.take(t, 1)
	verdict, told, err := dial(t, r.socket).login(r.start("root"))
	if line := r.log.take(t, 1)[0]; verdict != wire.Fault || err != nil || line.Rule != "break-glass" || !strings.Contains(line.Reason, path+": unsafe file: mode 0644") {
		t.Errorf("%v, %q, %v, log %+v", verdict, told, err, line)
	}
}

// Behind a password a break-glass code is taken off whoever's it is, and good once.
func TestBreakGlassBehindThePassword(t *testing.T) {
	r, codes := clientOf(t, closes)
	for _, user := range []string{"root", "daemon"} {
		start := r.start(user)
		start.Service, start.Split = "vsftpd", true
		conn := dial(t, r.socket)
		if err := conn.open(start); err != nil {
			t.Fatal(err)
		}
		kind, payload, err := conn.read()
		if want := string([]byte{byte(wire.Tail), breakglass.Length, breakglass.Group}) + breakglass.Characters; err != nil || kind != wire.TypePrompt || string(payload) != want {
			t.Fatalf("%s: %v %q, %v", user, kind, payload, err)
		}
		if err := conn.reply(codes[0]); err != nil {
			t.Fatal(err)
		}
		if kind, payload, err = conn.read(); err != nil || kind != wire.TypeVerdict || string(payload) != string([]byte{byte(wire.Split), breakglass.Length}) {
			t.Errorf("%s: %v %q, %v", user, kind, payload, err)
		}
	}
	start := r.start("root")
	start.Service, start.AfterSplit, start.CodeBehind = "vsftpd", true, true
	if verdict, told, err := dial(t, r.socket).login(start, codes[0]); verdict != wire.Accept || err != nil {
		t.Errorf("%v, %q, %v", verdict, told, err)
	}
	if line := r.log.take(t, 1)[0]; line.Service != "vsftpd" || line.Rule != "break-glass" {
		t.Errorf("log %+v", line)
	}
}

// A machine's own state has what was used up, and nothing else of anybody.
func TestBreakGlassLeavesLittle(t *testing.T) {
	r, codes := clientOf(t, closes)
	if verdict, _, err := dial(t, r.socket).login(r.start("root"), "0000-0000-0000-0000", codes[0]); verdict != wire.Accept || err != nil {
		t.Fatalf("%v, %v", verdict, err)
	}
	kinds, err := os.ReadDir(filepath.Join(r.dir, "state"))
	if err != nil || len(kinds) != 1 || kinds[0].Name() != "break-glass" {
		t.Errorf("%v, %v", kinds, err)
	}
	var data []byte
	if data, err = os.ReadFile(filepath.Join(r.dir, "state", "break-glass", "root")); err != nil || strings.Contains(string(data), codes[0]) {
		t.Errorf("%q, %v", data, err)
	}
}
