package etcdledger_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
)

// impatient ends a question's time once two tries in a row have said all that is
// wanted: what is not answered is asked again until then, and what the error says must
// not depend on how much of that a slow machine gets done. The error is that of the try
// before the last one.
type impatient struct {
	*etcdledger.Cluster
	says []string
	said int
	end  context.CancelFunc
}

func (i *impatient) Get(ctx context.Context, key string) (casledger.Register, error) {
	now, err := i.Cluster.Get(ctx, key)
	switch {
	case !errors.Is(err, casledger.ErrUnavailable) || !saysAll(err, i.says):
		i.said = 0
	case i.said > 0:
		i.end()
	default:
		i.said++
	}
	return now, err
}

func saysAll(err error, all []string) bool {
	return !slices.ContainsFunc(all, func(one string) bool { return !strings.Contains(err.Error(), one) })
}

// wantDenied has neither a login nor a look succeed, and their errors, which it
// returns, say all of that.
func wantDenied(t *testing.T, settings etcdledger.Settings, step int64, says ...string) (all []error) {
	t.Helper()
	alice := ledger.UserKey("alice")
	for _, question := range []func(context.Context, *casledger.Store) error{
		func(ctx context.Context, s *casledger.Store) error { return s.Update(ctx, alice, use(step)) },
		func(ctx context.Context, s *casledger.Store) error { _, err := s.View(ctx, alice); return err },
		func(ctx context.Context, s *casledger.Store) error { _, err := s.ID(ctx); return err },
	} {
		cluster, err := etcdledger.NewCluster(settings)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		store := casledger.New(&impatient{Cluster: cluster, says: says, end: cancel}, settings.Limits)
		err = question(ctx, store)
		cancel()
		_ = store.Close()
		if err == nil || !saysAll(err, says) {
			t.Errorf("%v, expected %q", err, says)
		}
		all = append(all, err)
	}
	return all
}
