// Command core is the cgo-built half of the PAM module: the engine as a shared
// library, pam_otpgate_core.so.
//
// It is never loaded into a PAM host. The front forks a child, cleans it, and
// there loads the library and calls [otpgate_core_serve] once. So the Go
// runtime starts in a process of its own, and it may use the whole process.
package main

import "C"

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/pam_module/serve"
)

// memoryLimit is when garbage is collected after all; a login needs far less.
const memoryLimit = 64 << 20

// front is kept: the child waits on the socket for the front once the dialogue is over,
// so it must not be closed when nobody here uses it any more.
var front *os.File

// otpgate_core_serve holds one dialogue on the socket fd. It returns 0 if the
// front was answered.
//
//export otpgate_core_serve
func otpgate_core_serve(fd C.int) C.int {
	// The process ends with the dialogue, so collecting garbage is lost time.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
	front = os.NewFile(uintptr(fd), "front")
	if front == nil {
		return 1
	}
	sink := audit.Syslog{}
	if err := serve.Dialogue(context.Background(), front, serve.OpenFresh, sink); err != nil {
		sink.Write(audit.Record{Verdict: "fault", Rule: "dialogue", Reason: err.Error()})
		return 1
	}
	return 0
}

func main() {}
