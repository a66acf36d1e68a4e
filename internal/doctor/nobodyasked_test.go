package doctor

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/asking"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Whether anybody is asked is the engine's to say: wherever the doctor says that
// nobody is, it lets people in without a code or not at all, and elsewhere it asks somebody.
func TestEngineAsksNobody(t *testing.T) {
	files, err := filepath.Glob(setups + "*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	silent, asked := 0, 0
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if !slices.ContainsFunc([]string{"trusted-", "protocols-", "exempt-", "require-all-", "require-group-"}, func(kind string) bool { return strings.HasPrefix(name, kind) }) {
			continue
		}
		p := admit(t, archive)
		p.machine.SSHD = func(context.Context, target.Query) (string, error) { return "", target.ErrNoSSHD }
		claimed := map[string]bool{}
		for _, f := range (Doctor{Machine: p.machine}).Examine(t.Context()) {
			for _, service := range f.Services {
				claimed[service] = claimed[service] || f.ID == asking.ID
			}
		}
		tree := pamstack.Of(p.root)
		for _, service := range []string{"sshd", "sudo", "sudo-i", "su", "su-l", "login"} {
			if stack, err := authstack.Load(tree, service, config.Default()); err != nil || stack.File == "" || !stack.Asks() {
				continue
			}
			somebody := p.asks(service)
			if somebody == claimed[service] && name != "exempt-all.txtar" {
				t.Errorf("%s: %s: the doctor says that nobody is asked: %v; the engine asks somebody: %v", file, service, claimed[service], somebody)
			}
			if somebody {
				asked++
			} else {
				silent++
			}
		}
	}
	if silent < 10 || asked < 10 {
		t.Errorf("%d services where nobody is asked and %d where somebody is; expected 10 of each", silent, asked)
	}
}

// asks says whether the engine asks anybody at a service who comes from an address
// of no use to anybody. Somebody of a directory is one of those whom no file has.
// To refuse somebody who has not enrolled is to ask, unless all who have are exempt.
func (p *patient) asks(service string) bool {
	p.t.Helper()
	settings, err := config.Load(p.root + config.DefaultPath)
	if err != nil {
		settings = config.Default()
	}
	dir, err := account.Open(p.root+settings.Paths.Users, settings.Policy.OwnProtocols...)
	if err != nil {
		p.t.Fatal(err)
	}
	defer dir.Close()
	store, err := ledger.OpenFiles(p.t.TempDir())
	if err != nil {
		p.t.Fatal(err)
	}
	defer store.Close()
	p.machine.Fill()
	names := treeNames{p}
	stack, err := authstack.Load(pamstack.Of(p.root), service, settings)
	if err != nil {
		p.t.Fatal(err)
	}
	engine := &gate.Gate{Config: settings, Accounts: dir, Ledger: store, Names: names, Now: p.machine.Now}
	people, all, err := p.machine.People()
	if err != nil {
		p.t.Fatal(err)
	}
	if !all {
		people = append(people, "somebody-of-a-directory")
	}
	enrolled, err := dir.Names()
	if err != nil {
		p.t.Fatal(err)
	}
	exempt, refused := 0, false
	for _, name := range people {
		need, err := engine.Need(p.t.Context(), gate.Request{User: name, Service: service, Protocol: stack.Protocol, RemoteHost: "203.0.113.7"})
		if err != nil {
			p.t.Fatal(err)
		}
		switch {
		case need.Code == gate.Refused:
			refused = true
		case need.Code != gate.NoCode:
			return true
		case need.Rule == "policy.exempt" && slices.Contains(enrolled, name):
			exempt++
		}
	}
	return refused && exempt < max(1, len(enrolled))
}

// treeNames are those of the patient's files.
type treeNames struct{ *patient }

func (n treeNames) Canonical(user string) (string, bool, error) {
	known, err := n.machine.UserKnown(user)
	return user, known, err
}

func (n treeNames) Others(user string) ([]string, error) { return n.machine.Others(user) }

func (n treeNames) InGroup(user, group string) (bool, error) {
	known, err := n.machine.GroupKnown(group)
	if err == nil && !known {
		return false, nss.ErrUnknownGroup
	}
	if err != nil {
		return false, err
	}
	return n.machine.Member(user, group)
}
