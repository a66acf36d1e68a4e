package main

import (
	"path/filepath"
	"testing"
)

// A client to which servers connect does not end when nobody has logged in for long,
// and one that became none does.
func TestListeningClientGoesOn(t *testing.T) {
	const key = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	// Nobody can listen at an address that the machine has not.
	client := "[remote]\nlisten = [\"192.0.2.1:9153\"]\nserver_keys = [\"" + key + "\"]\nkey = \"" + filepath.Join(t.TempDir(), "key") + "\"\n"
	r := newRig(t, client, unhurried)
	all := &serving{server: r.server, portal: newPortal(r.server, unhurried)}
	if mayEnd(all, r.server.engines, 0) {
		t.Error("it ends though servers are to connect to it")
	}
	if lines := r.log.take(t, 1); lines[0].Rule != "remote.listen" {
		t.Errorf("%+v", lines)
	}
	r.configure(t, wide)
	if err := r.server.engines.reload(); err != nil {
		t.Fatal(err)
	}
	if !mayEnd(all, r.server.engines, 0) {
		t.Error("it goes on as no client")
	}
}
