package main

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// Two changes of the configuration within one tick of the file system's clock
// leave the same times, so a file that has just changed is read again.
func TestConfigurationChangedTwiceAtOnce(t *testing.T) {
	b := testBroker(t, "")
	// However long the machine stands still after a change, it was just now.
	b.now = func() time.Time {
		info, err := os.Stat(b.options.config)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	data, err := os.ReadFile(b.options.config)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`require = ["@all"]`, `require = ["nobd"]`} {
		if err := os.WriteFile(b.options.config, append(data, ("[policy]\n"+line+"\n")...), 0o600); err != nil {
			t.Fatal(err)
		}
		engine, err := b.current()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("require = [%q]", engine.Config.Policy.Require[0]); got != line {
			t.Errorf("expected %s, found %s", line, got)
		}
		if again, err := b.current(); err != nil || again == engine {
			t.Errorf("a file that has just changed is not read again: %v", err)
		}
	}
}
