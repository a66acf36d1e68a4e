// Command hollow is a core for the bench that links all that the real one
// links, asks for a code as the real one does, and then takes any. What a login
// through it costs is what a Go library costs before it does any work.
//
// The bench builds it in the place of pam_module/core/main.go, so that it starts
// as the real one does.
package main

import "C"

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/wire"
	"github.com/otpgate/otpgate/pam_module/serve"
)

//export otpgate_core_serve
func otpgate_core_serve(fd C.int) C.int {
	debug.SetGCPercent(-1)
	stream := os.NewFile(uintptr(fd), "front")
	start, err := wire.ReadStart(stream)
	if err != nil {
		return 1
	}
	if start.User == "" {
		// No front sends this. It keeps the linker from leaving the engine out.
		_ = serve.Dialogue(context.Background(), stream, serve.OpenFresh, audit.Syslog{})
	}
	peer := wire.Peer{Stream: stream}
	if _, err := peer.Ask(wire.EchoOff, gate.Prompt); err != nil {
		return 1
	}
	if err := peer.End(wire.Accept); err != nil {
		return 1
	}
	return 0
}

func main() {}
