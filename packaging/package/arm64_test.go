package packages_test

import (
	"flag"
	"testing"
)

// onArm64 is for packaging/arm64, which has the kernel start programs for that
// processor and has made a Debian of them.
var onArm64 = flag.Bool("arm64", false, "log in at the packages in build/arm64")

// The packages for arm64 are installed and ask, as those for this machine.
func TestArm64(t *testing.T) {
	if !*onArm64 {
		return
	}
	testLogins(t, newDebian(t, "bookworm-arm64", "2226"), builtIn(t, "../../build/arm64", "deb"))
}
