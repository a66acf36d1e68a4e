package logins

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// unlockedClient is what became of a client, in the words of invocation.Outcome.
type unlockedClient struct {
	Client string `json:"client"`
	Result string `json:"result"`
	Detail string `json:"detail"`
}

// isClient refuses a name that is no client's: it is mistyped. A file that is wrong is
// no reason to leave its client locked.
func isClient(g admin.People, name string) error {
	if g.Config.Gateway == nil {
		return errors.New("--client: this machine is no server: its configuration has no [gateway]; run this on a server")
	}
	if err := remotewire.CheckClient(name); err != nil {
		return fmt.Errorf("client %q: %w", name, err)
	}
	if _, err := clients.Load(g.Config.Gateway.Clients, name); errors.Is(err, clients.ErrUnknown) {
		return err
	}
	return nil
}

func unlockClient(ctx context.Context, a *invocation.App, g admin.People, name string, asJSON bool) error {
	was, err := g.UnlockClient(ctx, name)
	if err != nil {
		return err
	}
	done := unlockedClient{name, invocation.Unchanged, noWrongCodes}
	if was != (admin.Forgotten{}) {
		done.Result, done.Detail = invocation.ChangedResult, whatWasForgotten(a, was)
		invocation.Changed(g, "unlock", audit.Record{Client: name})
	}
	if asJSON {
		return a.JSON(done)
	}
	a.Say("%s: %s", name, done.Detail)
	return nil
}

func whatWasForgotten(a *invocation.App, was admin.Forgotten) string {
	var words []string
	if was.Attempts != (ledger.Attempts{}) {
		words = append(words, forgotten(a, was.Attempts))
	}
	if was.Sent > 0 {
		words = append(words, invocation.Counted(was.Sent, "code that was sent does", "codes that were sent do")+" not count any more")
	}
	return strings.Join(words, "; ")
}
