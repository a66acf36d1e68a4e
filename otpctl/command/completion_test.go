package command

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// offersFiles says whether a shell would complete names of files there.
func offersFiles(t *testing.T, words ...string) bool {
	t.Helper()
	root := Tree()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(append([]string{"__complete", "--config", "/nowhere/otpgate.toml"}, words...))
	if err := root.Execute(); err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	at := strings.LastIndex(out.String(), "\n:")
	if at < 0 && strings.HasPrefix(out.String(), ":") {
		at = -1
	}
	directive := strings.TrimSpace(out.String()[at+1:])
	switch directive {
	case ":0":
		return true
	case ":4", ":6", ":36":
		return false
	}
	t.Fatalf("%q: found the directive %q in %q", words, directive, out.String())
	return false
}

// A shell offers files where a file is wanted and nowhere else.
func TestCompletionOffersFiles(t *testing.T) {
	seen := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		path := strings.Fields(c.CommandPath())[1:]
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" {
				return
			}
			seen++
			placeholder, _ := pflag.UnquoteUsage(f)
			wanted := placeholder == "file" || placeholder == "path"
			if got := offersFiles(t, append(slices.Clone(path), "--"+f.Name, "")...); got != wanted {
				t.Errorf("%s --%s %s: files are offered: %v", c.CommandPath(), f.Name, placeholder, got)
			}
		})
		if c.Name() != "enroll" && c.Name() != "invite" && c.HasParent() { // their FILE is behind --csv
			if got := offersFiles(t, append(path, "")...); got != strings.Contains(c.Use, "FILE") {
				t.Errorf("%s: files are offered: %v", c.Use, got)
			}
		}
		for _, below := range c.Commands() {
			if !below.Hidden {
				walk(below)
			}
		}
	}
	walk(Tree())
	if seen < 30 {
		t.Errorf("found only %d flags with values", seen)
	}
}
