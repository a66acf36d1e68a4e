package nss

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Many ask at once, of a name service that the C library goes through group by
// group, as libnss-extrausers is.
func TestManyAtOnce(t *testing.T) {
	if !alone(t, "group: files extrausers") {
		return
	}
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "extra%d:x:%d:root\n", i, 20000+i)
	}
	write(t, "/var/lib/extrausers/group", text.String())
	write(t, "/var/lib/extrausers/passwd", "")
	root, found, err := UserByName("root")
	if err != nil || !found {
		t.Fatal(found, err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 5 {
				found, err := initgroups("root", root.GID+uint32(i))
				if err != nil || !slices.Contains(found, 21999) || found[0] != root.GID+uint32(i) {
					t.Errorf("%d groups, %v", len(found), err)
				}
			}
		})
	}
	all.Wait()
}
