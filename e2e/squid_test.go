package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// squid remembers a field by itself, for two hours unless it is told otherwise,
// and lets it in from everywhere. Told to bind it to one address it does, which is
// the docs' recipe. Without its memory it asks PAM twice for one request, so that
// nobody is let in.
func TestSquidRemembers(t *testing.T) {
	t.Parallel()
	machine.JoinGroup(t, "proxy", "shadow")
	here := machine.Resident.NewSite(t, "squid", "[policy]\nsessions = { http = \"12h\" }\n[verifier]\nallow = [\"proxy\"]\n")
	here.AroundPassword(t, here.Name, ownPassword, "protocol=http")
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, strings.TrimPrefix(r.URL.Path, "/"), "is in")
	}))
	t.Cleanup(page.Close)
	document, err := os.ReadFile("../docs/recipes.md")
	must(t, err)
	found := regexp.MustCompile("(?s)\n(auth_param basic credentialsttl .*?deny elsewhere)\n").FindSubmatch(document)
	if found == nil {
		t.Fatal("docs/recipes.md has no lines for squid")
	}
	recipe := strings.Split(string(found[1]), "\n")
	for name, test := range map[string]struct {
		lines        []string
		in, anywhere bool
	}{
		"by default": {nil, true, true},
		"bound":      {recipe, true, false},
		"without":    {[]string{"auth_param basic credentialsttl 0 seconds"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := hosts.StartSquid(t, here.Name, page.URL, test.lines...)
			p := machine.NewPerson(t, "squ").Enroll(t, here.Users)
			elsewhere := *p
			elsewhere.Address = machine.WithoutUser("els").Address
			field := p.Password + p.Code(t, 0)
			for _, try := range []struct {
				as    *machine.Person
				field string
				want  bool
			}{{p, p.Password, false}, {p, field, test.in}, {p, field, test.in}, {&elsewhere, field, test.anywhere}} {
				if in := server.In(t, try.as, try.field); in != try.want {
					t.Errorf("from %s: expected in: %v, found %v\n%s", try.as.Address, try.want, in, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
				}
			}
			if accepted := machine.Log.Lines("user="+p.Name+" ", "verdict=accepted"); len(accepted) != 1 || strings.Contains(accepted[0].Text, "remote=") {
				t.Errorf("expected one code to be accepted, and no address, found\n%s", machine.Text(accepted))
			}
		})
	}
}
