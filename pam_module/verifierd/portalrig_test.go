package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// portalRig is a rig that answers the page too.
type portalRig struct {
	*rig
	portal *portal
	page   string // the socket
}

// portalText is the configuration of a place with the page.
func portalText(p *installation, more string) string {
	return fmt.Sprintf("[portal]\nurl = 'https://otp.example.com'\nsocket = %q\n%s", filepath.Join(p.dir, "run", "portal.sock"), more)
}

func newPortalRig(t *testing.T, text string) *portalRig {
	t.Helper()
	r := &portalRig{rig: newRig(t, text, unhurried)}
	r.configure(t, portalText(r.installation, text))
	if err := r.server.engines.reload(); err != nil {
		t.Fatal(err)
	}
	r.server.engines.answerPage()
	r.server.engines.portal.settle(patience)
	r.page = filepath.Join(r.dir, "run", "portal.sock")
	listener, err := listenForPage(r.page)
	if err != nil {
		t.Fatal(err)
	}
	r.portal = newPortal(r.server, unhurried)
	r.portal.forgetter.pause = 0
	r.portal.forgetter.next = time.Now().Add(forgetEvery) // it would add to the log what it meets
	r.portal.accepting.Go(func() { r.portal.serve(listener) })
	t.Cleanup(func() {
		if err := errors.Join(listener.Close(), r.portal.drain(patience)); err != nil {
			t.Error(err)
		}
		r.portal.forgetter.done.Wait()
	})
	return r
}

// invite makes a link for somebody.
func (r *portalRig) invite(t *testing.T, user string, replace bool) string {
	t.Helper()
	created, err := r.invitations(t, time.Now).Create(t.Context(), invitation.Wanted{User: user, Factor: "phone", Replace: replace, For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return created.Link
}

func (r *portalRig) invitations(t *testing.T, now func() time.Time) invitation.Invitations {
	t.Helper()
	engine, err := r.server.engines.current(func() {})
	if err != nil {
		t.Fatal(err)
	}
	own := *engine
	own.Now = now
	own.Audit = &records{}
	return invitation.Invitations{People: admin.People{Gate: &own}, Random: rand.Reader}
}

// sends sends a request as that user, and returns what comes back, if anything does.
func (r *portalRig) sends(t *testing.T, uid int, request portalwire.Request) (portalwire.Answer, bool) {
	t.Helper()
	conn := dialAs(t, uid, r.page)
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	// It may be closed already.
	_, _ = conn.Write(append(text, '\n'))
	_ = conn.Conn.(*net.UnixConn).CloseWrite()
	said, err := io.ReadAll(conn)
	_ = conn.Close()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the page waits for ever")
	}
	var answer portalwire.Answer
	if len(said) == 0 {
		return answer, false
	}
	if err := json.Unmarshal(said, &answer); err != nil {
		t.Fatal(err)
	}
	return answer, true
}

// answered expects an answer for the page.
func (r *portalRig) answered(t *testing.T, request portalwire.Request) portalwire.Answer {
	t.Helper()
	if request.Remote == "" {
		request.Remote = "192.0.2.1"
	}
	answer, ok := r.sends(t, portalUID, request)
	if !ok {
		t.Fatalf("%v is not answered", request)
	}
	return answer
}

// begin presses the button of a link.
func (r *portalRig) begin(t *testing.T, link string) *portalwire.Setup {
	t.Helper()
	answer := r.answered(t, portalwire.Request{Op: portalwire.Begin, Link: link})
	if answer.Setup == nil {
		t.Fatalf("refused as %q", answer.Refused)
	}
	return answer.Setup
}

// codeOf is what the device of a setup shows, steps from now. With wide it is right for
// minutes.
func codeOf(t *testing.T, setup *portalwire.Setup, steps int) string {
	t.Helper()
	return gatetest.CodeOf(t, setup.URI, time.Now().Add(time.Duration(steps)*30*time.Second))
}

// names lists a directory of the ledger.
func (r *portalRig) names(t *testing.T, kind string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.dir, "state", kind))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// portalwireAs asks as the page does, from another goroutine than the test's.
func portalwireAs(t *testing.T, socket string, request portalwire.Request) (portalwire.Answer, error) {
	conn := dialAs(t, portalUID, socket)
	text, err := json.Marshal(request)
	if err == nil {
		_, err = conn.Write(append(text, '\n'))
	}
	if err == nil {
		err = conn.Conn.(*net.UnixConn).CloseWrite()
	}
	if err != nil {
		return portalwire.Answer{}, err
	}
	var answer portalwire.Answer
	return answer, json.NewDecoder(conn).Decode(&answer)
}
