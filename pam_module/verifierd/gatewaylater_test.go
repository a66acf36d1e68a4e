package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/remotewire"
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
