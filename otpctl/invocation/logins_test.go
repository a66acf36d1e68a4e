package invocation

import (
	"reflect"
	"testing"

	"github.com/otpgate/otpgate/internal/nss"
)

func TestLoginsOf(t *testing.T) {
	parse := func(text string) ([]Login, error) { return loginsOf(nss.Entries([]byte(text))) }
	got, err := parse("root:x:0:0:root:/root:/bin/bash\nalice:*:4294967294:100:Alice, 2nd floor::\n")
	want := []Login{{"root", 0, 0, "/root"}, {"alice", 4294967294, 100, ""}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"root:x:0:0:root:/root\n", "root:x:-1:0:root:/root:/bin/sh\n", "root:x:0:4294967296::/:/bin/sh\n", "\n"} {
		if got, err := parse(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// The machine's own accounts: root is one of them, by every way.
func TestSystemLogins(t *testing.T) {
	root := Login{"root", 0, 0, "/root"}
	if got, found, err := (systemLogins{}).ByName("root"); got != root || !found || err != nil {
		t.Errorf("%+v, %v, %v", got, found, err)
	}
	if got, found, err := (systemLogins{}).ByUID(0); got != root || !found || err != nil {
		t.Errorf("%+v, %v, %v", got, found, err)
	}
	if _, found, err := (systemLogins{}).ByName("no-such-person"); found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	if _, found, err := (systemLogins{}).ByUID(4294967290); found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	all, err := (systemLogins{}).All()
	if err != nil || len(all) < 2 || all[0] != root {
		t.Errorf("%+v, %v", all, err)
	}
}
