package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// A machine becomes a server while its verifier runs. No login on the machine itself
// need come first for the gateway to be known.
func TestGatewayLater(t *testing.T) {
	r := newRig(t, wide, unhurried)
	dir := filepath.Join(t.TempDir(), "clients")
	client := clients.Default()
	client.Client, client.Keys = "web1", []config.KeyHash{{1}}
	if err := clients.Save(dir, client); err != nil {
		t.Fatal(err)
	}
	ask := func() (remotewire.Answer, error) {
		f := dialAs(t, gatewaysUID, r.socket)
		if err := remotewire.WriteTake(f, remotewire.Take{ID: remotewire.ID{1, 2}, Client: "web1"}); err != nil {
			t.Fatal(err)
		}
		return remotewire.ReadAnswer(f)
	}
	if answer, err := ask(); err == nil {
		t.Errorf("on a machine that is no server: %+v", answer)
	}
	r.configure(t, fmt.Sprintf("%s[gateway]\nuser = \"daemon\"\nclients = %q\n", wide, dir))
	// The first one finds out that there is a gateway now.
	if answer, err := ask(); err == nil && !answer.Taken {
		t.Errorf("%+v", answer)
	}
	if answer, err := ask(); err != nil || !answer.Taken {
		t.Errorf("%+v, %v", answer, err)
	}
}

// Nor does a connection that it had open before it was known ask for people of the machine.
func TestGatewayWasInBefore(t *testing.T) {
	r := newRig(t, wide+"[verifier]\nallow = [\"daemon\"]\n", unhurried)
	r.server.engines.allow.settle(patience)
	alice := r.enroll(t, "alice")
	f := dialAs(t, gatewaysUID, r.socket)
	testwait.Until(t, "it is let in", func() bool {
		r.server.admission.mu.Lock()
		defer r.server.admission.mu.Unlock()
		return r.server.admission.open == 1
	})
	dir := filepath.Join(t.TempDir(), "clients")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.configure(t, fmt.Sprintf("%s[verifier]\nallow = [\"daemon\"]\n[gateway]\nuser = \"daemon\"\nclients = %q\n", wide, dir))
	r.server.lookForGateway()
	if verdict, told, err := f.login(r.start("alice"), alice.code(t)); err == nil && verdict == wire.Accept {
		t.Errorf("%v, %q, %v", verdict, told, err)
	}
	if line := r.log.take(t, 1)[0]; !strings.Contains(line.Reason, "asks for another user") {
		t.Errorf("log %+v", line)
	}
}
