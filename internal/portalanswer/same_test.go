package portalanswer

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// counting is a ledger that counts what it is asked, by kind of key.
type counting struct {
	ledger.Store
	asked map[string]int
}

func viewOf(kind ledger.Kind) string { return fmt.Sprint("view ", kind) }

func (c *counting) View(ctx context.Context, key ledger.Key) (ledger.Entry, error) {
	c.asked[viewOf(key.Kind)]++
	return c.Store.View(ctx, key)
}

func (c *counting) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	c.asked[fmt.Sprint("update ", key.Kind)]++
	return c.Store.Update(ctx, key, change)
}

// Whoever tries links learns nothing from how he is refused: one that nobody has had, one
// that was good and is forgotten, and the hash of one that is good get the same answer,
// for the same questions to the ledger and the same line in the log.
func TestWrongLinksAreAllTheSame(t *testing.T) {
	s := newSite(t)
	s.engine.Config.Policy.Attempts.PerSource = 1000
	forgotten, good := s.invite(t, false), ""
	key, _ := invitation.KeyOf(forgotten, "")
	err := s.engine.Ledger.Update(t.Context(), key, func(entry *ledger.Entry) error { *entry = ledger.Entry{}; return nil })
	if err != nil {
		t.Fatal(err)
	}
	good = s.invite(t, false)
	key, _ = invitation.KeyOf(good, "")
	store := &counting{Store: s.engine.Ledger}
	s.engine.Ledger = store
	for _, op := range []portalwire.Op{portalwire.Open, portalwire.Begin} {
		var first portalwire.Answer
		var asked map[string]int
		line := ""
		for n, link := range []string{strings.Repeat("a", 32), forgotten, key.Name[:32], strings.ToUpper(good), good[:31], good + "a", "alice"} {
			store.asked = map[string]int{}
			before := s.Lines()
			answer := s.ask(t, portalwire.Request{Op: op, Link: link})
			said := strings.TrimPrefix(s.Lines(), before)
			// What has not the form of a link is not looked up: that tells of nobody.
			if n >= 2 {
				store.asked[viewOf(ledger.Link)] = asked[viewOf(ledger.Link)]
			}
			if n == 0 {
				first, asked, line = answer, store.asked, said
			}
			if !reflect.DeepEqual(answer, first) || !maps.Equal(store.asked, asked) || said != line {
				t.Errorf("%s: %#v, %v and %q, expected %#v, %v and %q", op, answer.Refused, store.asked, said, first.Refused, asked, line)
			}
		}
		if refused := first.Refused == portalwire.Unknown; refused != (op == portalwire.Begin) || op == portalwire.Open && *first.Page != (portalwire.Page{State: portalwire.Unknown}) {
			t.Errorf("%s: %#v", op, first.Refused)
		}
	}
}
