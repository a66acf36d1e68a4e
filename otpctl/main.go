// Command otpctl enrolls people for one-time codes and keeps their secret
// files. See otpctl --help.
package main

import (
	"os"
	"time"

	"github.com/otpgate/otpgate/otpctl/command"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// version is set by the linker for releases.
var version string

func main() {
	os.Exit(command.Run(invocation.World{
		Version: version,
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Now:     time.Now,
	}, os.Args[1:]))
}
