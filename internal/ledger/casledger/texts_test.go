package casledger

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

const textName = TextDirectory + "alice/alice"

// otherText is another program that has changed the text.
func (m *memory) otherText(key string) {
	m.revision++
	m.values[key] = Register{Value: slices.Concat([]byte{format}, newMark(), []byte("theirs")), Revision: m.revision}
}

// isDoubt says whether err leaves open what became of a change, and is nothing that
// somebody would take for certain.
func isDoubt(err error) bool {
	return errors.Is(err, ErrUnclear) && !errors.Is(err, ErrOther) && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ledger.ErrUnreachable)
}

// Whatever becomes of the answers, a text is stored once, in the place of the one that
// was read and of no other. Where somebody else changed it meanwhile, nobody can tell.
func TestLostAnswersOfTexts(t *testing.T) {
	for _, test := range []struct {
		lose    []loss
		unclear bool
		want    string
	}{
		{nil, false, "mine"},
		{[]loss{notDone}, false, "mine"},
		{[]loss{done}, false, "mine"},
		{[]loss{later}, false, "mine"},
		{[]loss{later, later, notDone, done}, false, "mine"},
		{[]loss{notDone, notDone, notDone}, false, "mine"},
		{[]loss{overwritten}, true, "theirs"},
		{[]loss{elsewhere}, true, "theirs"},
		{[]loss{later, elsewhere}, true, "theirs"},
		{[]loss{notDone, overwritten}, true, "theirs"},
	} {
		for _, before := range []bool{false, true} {
			t.Run(fmt.Sprint(test.lose, before), func(t *testing.T) {
				m := &memory{values: map[string]Register{}}
				m.others = m.otherText
				store := testStore(m)
				if before {
					m.otherText(textName)
				}
				_, revision, err := store.Text(t.Context(), textName)
				if err != nil || before == (revision == 0) {
					t.Fatalf("revision %d, %v", revision, err)
				}
				m.lose, m.swaps = slices.Clone(test.lose), nil
				if err := store.SetText(t.Context(), textName, []byte("mine"), revision); isDoubt(err) != test.unclear || err != nil && !test.unclear {
					t.Errorf("%v", err)
				}
				for _, arrive := range m.late {
					arrive()
				}
				if text, _, err := store.Text(t.Context(), textName); err != nil || string(text) != test.want {
					t.Errorf("%q, %v, expected %q", text, err, test.want)
				}
				for i, value := range m.swaps {
					if !slices.Equal(value, m.swaps[0]) || m.keeps[i] != 0 {
						t.Errorf("%x for %v, then %x for %v", m.swaps[0], m.keeps[0], value, m.keeps[i])
					}
				}
			})
		}
	}
}

// A text that somebody else has changed since it was read is left alone, and it is said
// that nothing was stored.
func TestTextOfAnother(t *testing.T) {
	for _, before := range []bool{false, true} {
		m := &memory{values: map[string]Register{}}
		store := testStore(m)
		if before {
			m.otherText(textName)
		}
		_, revision, err := store.Text(t.Context(), textName)
		if err != nil {
			t.Fatal(err)
		}
		m.otherText(textName)
		if err := store.SetText(t.Context(), textName, []byte("mine"), revision); !errors.Is(err, ErrOther) || len(m.swaps) != 1 {
			t.Errorf("%v after %d swaps", err, len(m.swaps))
		}
	}
}

// What the service refuses is not stored, and not tried again.
func TestTextRefused(t *testing.T) {
	refuses := errors.New("permission denied")
	store := New(refusing{refuses}, Limits{Try: time.Minute, All: time.Minute})
	if err := store.SetText(t.Context(), textName, []byte("mine"), 0); !errors.Is(err, refuses) {
		t.Errorf("set: %v", err)
	}
	if _, _, err := store.Text(t.Context(), textName); !errors.Is(err, refuses) {
		t.Errorf("read: %v", err)
	}
	if err := store.EachText(t.Context(), TextDirectory, func(string, []byte, error) { t.Error("visited") }); err == nil {
		t.Error("goes through a service that cannot be gone through")
	}
}

// A value that is none is an error, and no text.
func TestDamagedText(t *testing.T) {
	for _, value := range [][]byte{{}, {format}, make([]byte, headBytes)} {
		m := &memory{values: map[string]Register{textName: {Value: value, Revision: 7}}}
		if text, _, err := testStore(m).Text(t.Context(), textName); !errors.Is(err, ledger.ErrDamaged) {
			t.Errorf("%x: %q, %v", value, text, err)
		}
	}
}
