package ledgersocket_test

import (
	"context"
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
	want := casledger.Status{Size: 3, Members: []casledger.Member{
		{URL: "https://a:2379", Version: "3.4.23", Leader: true, Bytes: 1 << 40, InUse: 5, Quota: 2 << 30, Alarms: []string{"NOSPACE"}, Clock: time.Unix(1, 0).UTC(), Asked: time.Unix(2, 0).UTC()},
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
}
