package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/rollout"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// tried says what is missing if nobody has logged in with a code through a
// changed service, or one that includes its file, since the change.
func tried(ctx context.Context, a *invocation.App, p rollout.Pending) error {
	services, path := through(a, p)
	settings, err := settingsOf(a, path)
	found := false
	if err == nil {
		found, err = loggedIn(ctx, settings, services, p.Changed)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: it cannot be told whether somebody has logged in since the change (%s pam confirm %s --untried keeps it all the same): %w", p.Service, a.Self(), p.Service, err)
	case found:
		return nil
	}
	return fmt.Errorf("nobody has logged in with a code through %s since it was changed at %s: do so once, then confirm. "+
		"If nobody is asked for a code there yet, log in through it, and then: %s pam confirm %s --untried", p.Service, invocation.When(p.Changed), a.Self(), p.Service)
}

// through are the services whose logins come to the changed file, and the
// configuration that its line names, "" for none.
func through(a *invocation.App, p rollout.Pending) (services []string, path string) {
	tree := pamstack.Of(a.Machine.Root)
	// pam.d that cannot be listed has no other than this one.
	services, _ = authstack.Includers(tree, p.Service)
	stack, err := authstack.Load(tree, p.Service, a.SettingsOrDefault())
	if err == nil && len(stack.Checks) > 0 {
		path = stack.Lines[stack.Checks[0]].Arg("config")
	}
	return append(services, strings.ToLower(p.Service)), path
}

// settingsOf are those of that configuration, "" being the command's own.
func settingsOf(a *invocation.App, path string) (config.Config, error) {
	settings, err := a.Settings()
	if path != "" {
		settings, err = config.Load(a.Machine.Root + path)
	}
	paths := &settings.Paths
	paths.Users, paths.State = a.Machine.Root+paths.Users, a.Machine.Root+paths.State
	return settings, err
}

// loggedIn looks through the ledger's entries of everybody with a secret file.
func loggedIn(ctx context.Context, settings config.Config, services []string, since time.Time) (bool, error) {
	dir, err := gate.PlaceOf(settings).Open()
	if err != nil {
		return false, err
	}
	defer dir.Close()
	names, err := dir.Names()
	if err != nil {
		return false, err
	}
	store, err := gate.OpenLedger(settings)
	if err != nil {
		return false, err
	}
	defer store.Close()
	var unread error
	for _, name := range names {
		entry, err := store.View(ctx, ledger.Key{Kind: ledger.User, Name: name})
		if errors.Is(err, ledger.ErrUnreachable) {
			return false, err // it would be waited for once for each person
		}
		unread = errors.Join(unread, err)
		if slices.ContainsFunc(entry.Services, func(s ledger.ServiceLogin) bool {
			// The ledger has whole seconds, and before the change nobody was asked.
			return slices.Contains(services, s.Service) && !s.At.Before(since.Truncate(time.Second))
		}) {
			return true, nil
		}
	}
	return false, unread
}
