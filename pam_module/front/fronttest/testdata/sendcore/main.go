// Command sendcore is a core in Go that has the program named by config= send
// a code, lets everybody in, and tells what came of it.
package main

import "C"

import (
	"context"
	"fmt"
	"os"

	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/wire"
)

//export otpgate_core_serve
func otpgate_core_serve(fd C.int) C.int {
	stream := os.NewFile(uintptr(fd), "front")
	start, err := wire.ReadStart(stream)
	if err != nil {
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), start.Timeout)
	defer cancel()
	delivery, err := deliver.Program{Path: start.Config}.Send(ctx, deliver.Message{Channel: deliver.SMS, User: start.User, Code: "471147"})
	peer := wire.Peer{Stream: stream}
	if peer.Tell(wire.Info, fmt.Sprintf("%s err=%v", delivery.Failed, err)) != nil || peer.End(wire.Accept) != nil {
		return 1
	}
	return 0
}

func main() {}
