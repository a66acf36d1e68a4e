package main

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// memoryOfDialogues is what docs/verifier.md says is in memory at most with all dialogues
// open, by what the verifier's environment says more: as it is run, and with a limit for
// the runtime at which garbage is little of it. How much garbage there is without one is a
// matter of when it is collected: from 33 to 40 MiB were seen in all.
var memoryOfDialogues = []struct {
	environment []string
	most        int
}{{nil, 44 << 20}, {[]string{"GOMEMLIMIT=20MiB"}, 35 << 20}}

// A server that was taken over has all dialogues open that it may, each with as
// much as it can send, strangers send half of what they want as slowly as they can,
// and people log in.
func TestMemoryOfDialogues(t *testing.T) {
	for _, run := range memoryOfDialogues {
		t.Run(fmt.Sprint(run.environment), func(t *testing.T) { memoryOfAllDialogues(t, run.environment, run.most) })
	}
}

func memoryOfAllDialogues(t *testing.T, environment []string, most int) {
	const name, host = 255, 1024
	p := newInstallation(t, memoryDisk, wide+"[verifier]\nallow = [\"daemon\"]\n")
	next := p.crowdOf(t, 1000)
	process := p.run(t, environment...)
	login := func() { name, code := next(); p.once(t, name, code) }
	for range 500 {
		login()
	}
	for i := range usual.allowed {
		start := p.start(fmt.Sprintf("user%d", i%20))
		start.Service, start.RemoteUser, start.TTY = strings.Repeat("s", name), strings.Repeat("u", name), strings.Repeat("t", name)
		start.RemoteHost = strings.Repeat("h", host)
		conn := dialAs(t, daemonUID, p.socket)
		if err := conn.open(start); err != nil {
			t.Fatalf("dialogue %d: %v", i, err)
		}
		if _, err := conn.Write(append([]byte{byte(wire.TypeReply), 0, (1 + wire.MaxAnswer) >> 8, (1 + wire.MaxAnswer) & 0xff}, make([]byte, wire.MaxAnswer)...)); err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	for i := range usual.nameless {
		conn := dialAs(t, 1<<17+i<<16, p.socket)
		_, _ = conn.Write(append([]byte{byte(wire.TypeStart), 0, 0x18, 0}, make([]byte, 6000)...))
		defer conn.Close()
	}
	for range 250 {
		login()
	}
	peak := process.status(t, "VmHWM")
	t.Logf("%.1f MiB with %d dialogues open", float64(peak)/(1<<20), usual.allowed+usual.nameless)
	if peak > most {
		t.Errorf("%d bytes were resident, want at most %d", peak, most)
	}
}

// What programs of others than root break off leaves few lines, however often.
func TestBrokenDialoguesInLog(t *testing.T) {
	const dialogues = 1000
	many := unhurried
	many.allowed = dialogues // a slow verifier has all of them open at once
	r := newRig(t, wide+"[verifier]\nallow = [\"daemon\"]\n", many)
	r.server.engines.allow.settle(patience)
	now := time.Now()
	r.stopClock(now)
	for range dialogues {
		_ = dialAs(t, daemonUID, r.socket).Close()
	}
	testwait.Until(t, "all of them", func() bool {
		return strings.Contains(r.figures(t), fmt.Sprintf("otpgate_protocol_errors_total %d\n", dialogues))
	})
	testwait.Until(t, "the end of the last", func() bool {
		r.server.admission.mu.Lock()
		defer r.server.admission.mu.Unlock()
		return r.server.admission.open == 0
	})
	_ = r.log.take(t, brokenLines)
	r.stopClock(now.Add(time.Minute))
	_ = dialAs(t, daemonUID, r.socket).Close()
	if line := r.log.take(t, 1)[0]; !strings.Contains(line.Reason, fmt.Sprintf("(and %d others of this user since the last line)", dialogues-brokenLines)) {
		t.Errorf("the log says %+v", line)
	}
}

// stuckLog is one that takes nothing until it is told.
type stuckLog struct {
	in, most atomic.Int32
	release  chan struct{}
}

func (l *stuckLog) Write(audit.Record) {
	n := l.in.Add(1)
	for most := l.most.Load(); n > most && !l.most.CompareAndSwap(most, n); most = l.most.Load() {
	}
	<-l.release
	l.in.Add(-1)
}

// A log that takes nothing holds up few threads for those who are not root, and
// none of root's lines wait for theirs.
func TestStuckLog(t *testing.T) {
	for kind, atOnce := range map[peerKind]int32{allowed: linesOfAllowed, ordinaryUser: linesOfOrdinary} {
		log, who := &stuckLog{release: make(chan struct{})}, &peerCount{kind: kind, lines: semaphoreFor(kind)}
		root := &peerCount{kind: trusted}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { who.sink(log).Write(audit.Record{}) })
		}
		testwait.Until(t, "as many as may", func() bool { return log.in.Load() == atOnce })
		all.Go(func() { root.sink(log).Write(audit.Record{}) })
		testwait.Until(t, "root's line", func() bool { return log.in.Load() == atOnce+1 })
		close(log.release)
		all.Wait()
		if most := log.most.Load(); most != atOnce+1 {
			t.Errorf("%d lines at once, want %d", most, atOnce+1)
		}
	}
}

// Nor do those of other users: whoever has dialogues without end denied while the
// log takes nothing makes nobody wait but himself.
func TestStuckLinesOfOthers(t *testing.T) {
	const denied, wwwUID = 16, 33
	for culprit, atOnce := range map[int]int32{bobsUID: linesOfOrdinary, wwwUID: linesOfAllowed} {
		r := newRig(t, wide+"[verifier]\nallow = [\"daemon\", \"www-data\"]\n", unhurried)
		alice := r.enroll(t, "alice")
		r.server.engines.allow.settle(patience)
		var held atomic.Int32
		release := make(chan struct{})
		hold := func(line audit.Record) {
			if line.Peer == fmt.Sprintf("uid %d", culprit) {
				held.Add(1)
				<-release
			}
		}
		r.log.before.Store(&hold)
		for range denied {
			conn := dialAs(t, culprit, r.socket)
			if err := conn.open(r.start("alice")); err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
		}
		testwait.Until(t, "as many as may", func() bool { return held.Load() == atOnce })
		for _, uid := range []int{rootUID, daemonUID, alicesUID} {
			if verdict := r.asks(t, uid, alice); verdict != wire.Accept {
				t.Errorf("uid %d beside uid %d: %v", uid, culprit, verdict)
			}
		}
		close(release)
		_ = r.log.take(t, denied+3)
	}
}
