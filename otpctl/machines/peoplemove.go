package machines

import (
	"context"
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/account/casaccount"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// movePeople takes the secret files in paths.users to etcd.
func movePeople(ctx context.Context, a *invocation.App, asJSON bool) error {
	settings, err := a.Settings()
	if err != nil {
		return err
	}
	if settings.Ledger == nil || !settings.Ledger.People {
		return errors.New("expected ledger.people = true in the configuration, on all servers: until then secret files count where they are; see docs/ledger.md")
	}
	shared := gate.SharedLedger(*settings.Ledger)
	defer shared.Close()
	if err := servesPrefix(ctx, shared, settings.Ledger.Prefix); err != nil {
		return err
	}
	shared.After(settings.Paths.State)
	if err := ledger.CheckNoted(settings.Paths.State, settings.Ledger.Prefix); err != nil {
		return err
	}
	if err := shared.CheckFormer(ctx); err != nil {
		return err
	}
	from := account.PlaceOf(settings)
	from.Away = true // what is wrong with a secret is said for those
	result, err := casaccount.Move{From: from, Ledger: shared, Prefix: settings.Ledger.Prefix, Progress: func(what string, total int) func() { return a.Begin(what, total).Step }}.Run()
	a.Clear()
	if result.Copied > 0 {
		recordMove(a, "move --people", fmt.Sprintf("%s to %s", files(result.Copied), gate.PlaceOf(settings).Path))
	}
	problems, are := errors.AsType[casaccount.Problems](err)
	switch {
	case are:
		return fmt.Errorf("%w\nnothing was moved. While ledger.people is false, %s changes these files as before", problems, a.Self())
	case err != nil:
		return fmt.Errorf("%w\nthe move is not done: whoever was not moved is denied until it is run again", err)
	case asJSON:
		return a.JSON(struct {
			To     string `json:"to"`
			Files  int    `json:"files"`
			Copied int    `json:"copied"`
		}{gate.PlaceOf(settings).Path, result.People, result.Copied})
	case result.People == 0:
		a.Say("There is no secret file in %s to be moved: people are in %s.", settings.Paths.Users, gate.PlaceOf(settings).Path)
		return nil
	}
	a.Say("%s moved to %s; of %d of them the same was there already.", invocation.Counted(result.People, "secret file is", "secret files are"), gate.PlaceOf(settings).Path, result.People-result.Copied)
	a.Say("The files in %s have .moved behind their names now. Leave %s/%s there: it keeps a configuration of before from letting people in without a code.", settings.Paths.Users, settings.Paths.Users, account.MovedName)
	return nil
}

func files(n int) string { return invocation.Counted(n, "secret file", "secret files") }
