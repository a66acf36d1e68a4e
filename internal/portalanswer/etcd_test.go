package portalanswer

import (
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// Links are as good where the ledger is in etcd, and while that is out of reach nothing
// is answered.
func TestLedgerInEtcd(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	settings := cluster.Settings(t, "server")
	store, err := etcdledger.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := newSite(t)
	s.engine.Ledger, s.Clock = store, time.Now().UTC() // etcd forgets links by its own clock
	link := s.invite(t, false)
	setup := s.ask(t, portalwire.Request{Op: portalwire.Begin, Link: link}).Setup
	confirm := portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: s.wrong(t, setup)}
	s.refused(t, confirm, portalwire.WrongFirst)
	confirm.First = s.code(t, setup, 0)
	if s.ask(t, confirm).Enrolled == nil {
		t.Error("not enrolled")
	}
	s.refused(t, confirm, portalwire.Used)
	other := s.invite(t, true)
	cluster.Members[0].Kill()
	settings.Limits = casledger.LimitsOf(time.Second) // nobody answers any more, however long that is waited for
	impatient, err := etcdledger.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	defer impatient.Close()
	s.engine.Ledger = impatient
	for _, request := range []portalwire.Request{{Op: portalwire.Open, Link: other}, {Op: portalwire.Begin, Link: other}} {
		s.unanswered(t, request, "")
	}
}
