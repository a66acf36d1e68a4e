package e2e

import (
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// The servers of docs/recipes.md that have one field and no test of their own
// elsewhere.

// nginx takes password and code in one field, over HTTP and HTTPS as the recipe has it.
func TestFieldNginx(t *testing.T) {
	t.Parallel()
	machine.JoinGroup(t, "www-data", "shadow")
	for _, path := range byVerifier {
		t.Run(string(path), func(t *testing.T) {
			t.Parallel()
			sites, run := fieldSites(t, path, "nginx", "http", "https")
			nginx := hosts.StartNginx(t, sites["http"].Name, sites["https"].Name)
			run(nginx.HTTP, nginx.HTTPS)
		})
	}
}

// A remembered login lets a browser's many requests in with one field, from one
// address.
func TestSessionNginx(t *testing.T) {
	t.Parallel()
	machine.JoinGroup(t, "www-data", "shadow")
	for _, path := range byVerifier {
		t.Run(string(path), func(t *testing.T) {
			t.Parallel()
			here := path.NewSite(t, "nginx-session", "[policy]\nsessions = { https = \"12h\" }\n[verifier]\nallow = [\"www-data\"]\n")
			here.AroundPassword(t, here.Name, ownPassword, "protocol=https")
			server := hosts.StartNginx(t, here.Name, here.Name).HTTPS
			remembers(t, here, server)
		})
	}
}

// Mail clients log in again and again with the field that they keep.
func TestSessionDovecot(t *testing.T) {
	t.Parallel()
	for _, path := range byVerifier {
		t.Run(string(path), func(t *testing.T) {
			t.Parallel()
			here := path.NewSite(t, "dovecot-session", "[policy]\nsessions = { login = \"12h\" }\n")
			here.AroundPassword(t, here.Name, debianPassword, "protocol=login")
			remembers(t, here, hosts.StartDovecot(t, here.Name))
		})
	}
}

func remembers(t *testing.T, here machine.Site, server *hosts.Server) {
	t.Helper()
	p := machine.NewPerson(t, "fie").Enroll(t, here.Users)
	field := p.Password + p.Code(t, 0)
	for range 3 {
		if !server.In(t, p, field) {
			t.Errorf("%s: expected that the login is remembered\n%s", server.Name, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
	}
	expectAudit(t, p, "verdict=not-asked", "rule=policy.session")
	if accepted := accepted(p); len(accepted) != 1 {
		t.Errorf("expected one code to be accepted, found\n%s", machine.Text(accepted))
	}
	elsewhere := *p
	elsewhere.Address = machine.WithoutUser("els").Address
	if server.In(t, &elsewhere, field) {
		t.Error("in from another address with a used code")
	}
	if server.In(t, p, "not-"+field) {
		t.Error("in with a wrong password")
	}
}

// dovecot takes password and code in one field.
func TestFieldDovecot(t *testing.T) {
	t.Parallel()
	for _, path := range byVerifier {
		t.Run(string(path), func(t *testing.T) {
			t.Parallel()
			here := path.NewSite(t, "dovecot-field", "")
			here.AroundPassword(t, here.Name, debianPassword, "protocol=login")
			fieldTest{here, here.Name, "login", ""}.run(t, hosts.StartDovecot(t, here.Name))
		})
	}
}

// dovecot gives its auth-worker 256 MiB of address space. A forked core does not
// start in that: this denies, says so, and leaves the code good.
func TestDovecotForked(t *testing.T) {
	t.Parallel()
	here := machine.Resident.NewSite(t, "dovecot-both", "")
	p := machine.NewPerson(t, "vic").Enroll(t, here.Users)
	field := p.Password + p.Code(t, 0)
	for _, path := range machine.Paths {
		service := "dovecot-both-" + string(path)
		over := here.Over(path)
		over.AroundPassword(t, service, debianPassword, "protocol=login")
		if in := hosts.StartDovecot(t, service).In(t, p, field); in != (path == machine.Resident) {
			t.Errorf("%s: found in: %v\n%s", path, in, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
	}
	expectAudit(t, p, "service=dovecot-both-forked", "verdict=fault", "rule=front")
	expectAudit(t, p, "service=dovecot-both-resident", "verdict=accepted")
}

// FreeRADIUS takes password and code in one field.
func TestFieldRADIUS(t *testing.T) {
	t.Parallel()
	machine.JoinGroup(t, "freerad", "shadow")
	const allow = "[verifier]\nallow = [\"freerad\"]\n"
	for _, path := range byVerifier {
		t.Run(string(path), func(t *testing.T) {
			t.Parallel()
			here := path.NewSite(t, "radius-field", allow)
			here.AroundPassword(t, here.Name, ownPassword, "protocol=login")
			fieldTest{here, here.Name, "login", allow}.run(t, hosts.StartRADIUS(t, here.Name))
		})
	}
}
