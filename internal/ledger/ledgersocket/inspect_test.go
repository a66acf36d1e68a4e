package ledgersocket_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/ledgersocket"
)

// inspected has many registers, and a status.
type inspected struct {
	scripted
	status casledger.Status
	all    []casledger.Named // in the order of their keys
}

func (i inspected) Status(context.Context) (casledger.Status, error) { return i.status, i.err }

func (i inspected) Page(_ context.Context, after string) ([]casledger.Named, error) {
	from := slices.IndexFunc(i.all, func(one casledger.Named) bool { return one.Key > after })
	if from < 0 {
		return nil, i.err
	}
	return i.all[from:], i.err
}

// What is said of the service is the same at both ends, and so is every register,
// however many and large they are.
func TestInspect(t *testing.T) {
	want := casledger.Status{Prefix: "otpgate/1/", Size: 3, Refused: "permission denied", Unguarded: true, Members: []casledger.Member{
		{URL: "https://a:2379", Version: "3.4.23", Leader: true, Bytes: 1 << 40, InUse: 5, Quota: 2 << 30, Alarms: []string{"NOSPACE"}, Clock: time.Unix(1, 0).UTC(), Asked: time.Unix(2, 0).UTC(), Certificate: time.Unix(3, 0).UTC()},
		{URL: "https://b:2379", Problem: "no answer in time"},
	}}
	far := inspected{status: want}
	for n := range 300 {
		value := append(make([]byte, 17), strings.Repeat("x", n*250%ledger.MaxPayload)...)
		far.all = append(far.all, casledger.Named{Key: fmt.Sprintf("users/%03d", n), Register: casledger.Register{Revision: int64(n + 1), Value: value}})
	}
	client := ledgersocket.Client{Path: serve(t, far)}
	status, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range status.Members {
		if len(status.Members[i].Alarms) == 0 {
			status.Members[i].Alarms = nil
		}
	}
	if !reflect.DeepEqual(status, want) {
		t.Errorf("%+v, expected %+v", status, want)
	}
	var all []casledger.Named
	for after := ""; ; after = all[len(all)-1].Key {
		page, err := client.Page(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
	}
	if !reflect.DeepEqual(all, far.all) {
		t.Errorf("%d registers came, expected %d as they are", len(all), len(far.all))
	}
}

// remembers has known what a test says.
type remembers struct {
	inspected
	known casledger.Texts
}

func (r remembers) Texts(_ context.Context, beside string) (casledger.Texts, error) {
	if beside != "moved/0123456789abcdef" {
		return casledger.Texts{}, errors.New("another register")
	}
	return r.known, r.err
}

// What is known of people is the same at both ends, as is that nothing is.
func TestKnownTexts(t *testing.T) {
	for _, known := range []casledger.Texts{{}, {Any: true}, {Beside: true}, {Any: true, Beside: true}} {
		got, err := ledgersocket.Client{Path: serve(t, remembers{known: known})}.Texts(t.Context(), "moved/0123456789abcdef")
		if err != nil || got != known {
			t.Errorf("%+v, %v, expected %+v", got, err, known)
		}
	}
	away := inspected{scripted: scripted{err: fmt.Errorf("%w from etcd", casledger.ErrUnavailable)}}
	if _, err := (ledgersocket.Client{Path: serve(t, remembers{inspected: away})}).Texts(t.Context(), "moved/0123456789abcdef"); !errors.Is(err, casledger.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// A value that no message has room for is refused by its key, and hides nothing that
// comes behind it.
func TestTooLarge(t *testing.T) {
	small, large := casledger.Register{Revision: 1, Value: make([]byte, 17)}, casledger.Register{Revision: 1, Value: make([]byte, 100_000)}
	far := inspected{scripted: scripted{now: large}, all: []casledger.Named{{Key: "users/a", Register: small}, {Key: "users/b", Register: large}, {Key: "users/c", Register: small}}}
	client := ledgersocket.Client{Path: serve(t, far)}
	page, err := client.Page(t.Context(), "")
	if err != nil || len(page) != 1 || page[0].Key != "users/a" {
		t.Errorf("the page before it: %v, %v", page, err)
	}
	_, errPage := client.Page(t.Context(), "users/a")
	_, errGet := client.Get(t.Context(), "users/b")
	_, _, errSwap := ledgersocket.Client{Path: serve(t, changed{far})}.Swap(t.Context(), "users/b", 7, nil, 0)
	for _, err := range []error{errPage, errGet, errSwap} {
		if err == nil || errors.Is(err, casledger.ErrUnavailable) || !strings.Contains(err.Error(), `100000 bytes at "users/b"`) {
			t.Errorf("%v", err)
		}
	}
	store := casledger.New(client, casledger.Limits{Try: time.Minute, All: time.Minute})
	if err := store.Each(t.Context(), func(string, error) error { return nil }); err == nil || !strings.Contains(err.Error(), "users/b") {
		t.Errorf("gone through: %v", err)
	}
	if _, err := store.View(t.Context(), ledger.UserKey("b")); err == nil || errors.Is(err, ledger.ErrUnreachable) {
		t.Errorf("read: %v", err)
	}
}

// changed has what another one has stored meanwhile.
type changed struct{ inspected }

func (c changed) Swap(context.Context, string, int64, []byte, time.Duration) (bool, casledger.Register, error) {
	return false, c.now, nil
}

// A program that answers another question is not believed, least of all that there is
// nothing; nor can what is no Inspector be looked at.
func TestOtherAnswers(t *testing.T) {
	client := ledgersocket.Client{Path: serve(t, scripted{})}
	if _, err := client.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "as a whole") {
		t.Errorf("status: %v", err)
	}
	if _, err := client.Page(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "as a whole") {
		t.Errorf("page: %v", err)
	}
	if _, err := client.Texts(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "as a whole") {
		t.Errorf("texts: %v", err)
	}
}
