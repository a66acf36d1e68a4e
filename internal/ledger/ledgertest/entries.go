package ledgertest

import (
	"errors"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

var (
	alice   = ledger.Key{Kind: ledger.User, Name: "alice"}
	bob     = ledger.Key{Kind: ledger.User, Name: "bob"}
	network = ledger.Key{Kind: ledger.Source, Name: "2001:db8::/64"}
)

func view(t *testing.T, store ledger.Store, key ledger.Key) ledger.Entry {
	t.Helper()
	entry, err := store.View(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func mustUpdate(t *testing.T, store ledger.Store, key ledger.Key, change func(*ledger.Entry) error) {
	t.Helper()
	if err := store.Update(t.Context(), key, change); err != nil {
		t.Fatal(err)
	}
}

func wantWrong(t *testing.T, store ledger.Store, key ledger.Key, want int) {
	t.Helper()
	if got := view(t, store, key).Attempts.Wrong; got != want {
		t.Errorf("%v has %d wrong attempts, expected %d", key, got, want)
	}
}

func wantEntry(t *testing.T, store ledger.Store, key ledger.Key, want ledger.Entry) {
	t.Helper()
	if got := view(t, store, key); !reflect.DeepEqual(got, want) {
		t.Errorf("entry is %+v, expected %+v", got, want)
	}
}

func neverUsed(t *testing.T, s suite) {
	store := s.store(t)
	wantEntry(t, store, alice, ledger.Entry{})
	mustUpdate(t, store, alice, func(entry *ledger.Entry) error {
		if !reflect.DeepEqual(*entry, ledger.Entry{}) {
			t.Errorf("change got %+v, expected the zero entry", *entry)
		}
		return nil
	})
	wantEntry(t, store, alice, ledger.Entry{})
}

// keepsEveryField fails for a field that somebody adds to Entry and a store
// forgets to keep.
func keepsEveryField(t *testing.T, s suite) {
	store := s.store(t)
	for seed := range 3 {
		var want ledger.Entry
		n := 1000 * seed
		fill(t, reflect.ValueOf(&want).Elem(), &n)
		mustUpdate(t, store, alice, func(entry *ledger.Entry) error {
			*entry = want
			return nil
		})
		wantEntry(t, s.store(t), alice, want)
	}
}

// fill sets every field to something that is found nowhere else in the entry.
func fill(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int16, reflect.Int8:
		v.SetInt(int64(*n % 100))
		if *n%2 == 0 {
			v.SetInt(-v.Int())
		}
	case reflect.Uint, reflect.Uint64, reflect.Uint32, reflect.Uint16, reflect.Uint8:
		v.SetUint(uint64(*n % 200))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(strings.Repeat("\xff\x00\"é", *n%5) + string(rune('a'+*n)))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 3 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key, n)
			fill(t, value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1_700_000_000+int64(*n), int64(*n)).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("cannot fill a %v: teach this function", v.Type())
	}
}

func errorOfChange(t *testing.T, s suite) {
	store := s.store(t)
	errOwn := errors.New("own")
	spoil := func(entry *ledger.Entry) error {
		entry.Attempts.Wrong = 99
		if entry.Used != nil {
			entry.Used["phone"] = ledger.Use{Step: 99}
		}
		return errOwn
	}
	want := ledger.Entry{}
	for range 2 {
		if err := store.Update(t.Context(), alice, spoil); err != errOwn {
			t.Errorf("update gives %v, expected the error of change itself", err)
		}
		wantEntry(t, store, alice, want)
		want.Used = map[string]ledger.Use{"phone": {Step: 1}}
		mustUpdate(t, store, alice, func(entry *ledger.Entry) error {
			entry.Used = map[string]ledger.Use{"phone": {Step: 1}}
			return nil
		})
	}
}

// entryIsOwnCopy changes entries after they were handed over.
func entryIsOwnCopy(t *testing.T, s suite) {
	store := s.store(t)
	var kept *ledger.Entry
	mustUpdate(t, store, alice, func(entry *ledger.Entry) error {
		kept = entry
		entry.Used = map[string]ledger.Use{"phone": {Step: 1}}
		entry.UsedHashes = []string{"a"}
		return nil
	})
	seen := view(t, store, alice)
	for _, entry := range []*ledger.Entry{kept, &seen} {
		entry.Used["phone"] = ledger.Use{Step: 2}
		entry.UsedHashes[0] = "b"
	}
	want := ledger.Entry{Used: map[string]ledger.Use{"phone": {Step: 1}}, UsedHashes: []string{"a"}}
	wantEntry(t, store, alice, want)
	mustUpdate(t, store, alice, func(entry *ledger.Entry) error {
		if !reflect.DeepEqual(*entry, want) {
			t.Errorf("change got %+v, expected %+v", *entry, want)
		}
		return nil
	})
}

func toZero(entry *ledger.Entry) error {
	*entry = ledger.Entry{}
	return nil
}

func noChange(t *testing.T, s suite) {
	store := s.store(t)
	mustUpdate(t, store, alice, add)
	for range 3 {
		mustUpdate(t, store, alice, func(*ledger.Entry) error { return nil })
	}
	wantWrong(t, store, alice, 1)
}

func backToZero(t *testing.T, s suite) {
	store := s.store(t)
	for _, kind := range kinds {
		key := ledger.Key{Kind: kind, Name: "alice"}
		for range 2 {
			mustUpdate(t, store, key, add)
			mustUpdate(t, store, key, toZero)
			wantEntry(t, s.store(t), key, ledger.Entry{})
		}
		mustUpdate(t, store, key, add)
		wantWrong(t, s.store(t), key, 1)
	}
}

// survivesKill kills a process as soon as its Update has returned.
func survivesKill(t *testing.T, s suite) {
	for want := 1; want <= 3; want++ {
		cmd, output := s.worker("kill")
		err := cmd.Run()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("worker: %v: %s", err, output)
		}
		wantWrong(t, s.store(t), alice, want)
	}
}

func largeEntry(t *testing.T, s suite) {
	store := s.store(t)
	var want ledger.Entry
	for len(want.UsedHashes) < 200 {
		want.UsedHashes = append(want.UsedHashes, strings.Repeat("x", 64))
		if n := len(want.UsedHashes); n%40 != 0 {
			continue
		}
		mustUpdate(t, store, alice, func(entry *ledger.Entry) error {
			entry.UsedHashes = want.UsedHashes
			return nil
		})
		wantEntry(t, s.store(t), alice, want)
	}
}
