package portalanswer

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/selfservice"
)

var errOff = errors.New("the page asks for people who are enrolled, and [portal] manage is not true in the configuration; was otpgate-portal started again after a change?")

// managed answers what is asked for people who are enrolled. known is false for all else.
func managed(ctx context.Context, engine *gate.Gate, request portalwire.Request, later *Later) (answer portalwire.Answer, known bool, err error) {
	switch request.Op {
	case portalwire.AskLink, portalwire.OpenManage, portalwire.Enter, portalwire.Show, portalwire.Change:
	default:
		return answer, false, nil
	}
	if engine.Config.Portal == nil || !engine.Config.Portal.Manage || later == nil {
		return answer, true, errOff
	}
	service := selfservice.Service{People: admin.People{Gate: engine}, Random: rand.Reader, Later: later}
	browser := selfservice.BrowserSession{Token: request.BrowserSession, Remote: request.Remote, Language: request.Language}
	said := portalwire.Managed{}
	switch request.Op {
	case portalwire.AskLink:
		service.Ask(request.Manage.User, request.Remote, request.Language)
		said.Asked = true
	case portalwire.OpenManage:
		page, err := service.Look(ctx, request.Link)
		return portalwire.Answer{Page: &portalwire.Page{State: page.State.String(), At: page.At, Name: page.Name}}, true, err
	case portalwire.Enter:
		entered, err := service.Enter(ctx, request.Link, request.Current, request.Remote)
		if err != nil {
			return answer, true, err
		}
		said.Entered = &portalwire.Entered{BrowserSession: entered.BrowserSession, Ends: entered.Ends, Unseen: entered.Unseen}
	case portalwire.Show:
		overview, err := service.Show(ctx, browser)
		if err != nil {
			return answer, true, err
		}
		said.Overview = overviewOf(overview)
	case portalwire.Change:
		return change(ctx, service, browser, request)
	}
	return portalwire.Answer{Managed: &said}, true, nil
}

// change does what a request is to change.
func change(ctx context.Context, service selfservice.Service, browser selfservice.BrowserSession, request portalwire.Request) (answer portalwire.Answer, known bool, err error) {
	done := &portalwire.Done{Do: request.Manage.Do}
	switch request.Manage.Do {
	case portalwire.EndSession:
		err = service.EndSession(ctx, browser, request.Manage.ID, false)
	case portalwire.EndSessions:
		err = service.EndSession(ctx, browser, "", true)
	case portalwire.Leave:
		err = service.Leave(ctx, browser)
	case portalwire.AddDevice:
		setup, err := service.Add(ctx, browser, request.Manage.Name)
		return portalwire.Answer{Setup: setupOf(setup)}, true, err
	case portalwire.ShowDevice:
		setup, err := service.Shown(ctx, browser)
		return portalwire.Answer{Setup: setupOf(setup)}, true, err
	case portalwire.Confirmed:
		err = service.Confirm(ctx, browser, request.First)
	case portalwire.Rename:
		err = service.Rename(ctx, browser, request.Manage.ID, request.Manage.Name)
	case portalwire.Remove:
		err = service.Remove(ctx, browser, request.Manage.ID, request.Current)
	case portalwire.Recovery:
		done.RecoveryCodes, err = service.NewRecovery(ctx, browser, request.Current)
	case portalwire.Report:
		err = service.Report(ctx, browser, request.Manage.ID)
	default:
		err = errors.New("unknown change")
	}
	if err != nil {
		return answer, true, err
	}
	return portalwire.Answer{Managed: &portalwire.Managed{Done: done}}, true, nil
}

// mostShown bounds what one answer has of devices and of remembered logins.
const mostShown = 20

// overviewOf is what is shown, within what an answer may have.
func overviewOf(o selfservice.Overview) *portalwire.Overview {
	shown := &portalwire.Overview{User: o.User, Ends: o.Ends, RecoveryLeft: o.RecoveryLeft}
	for _, d := range o.Devices[:min(len(o.Devices), mostShown)] {
		shown.Devices = append(shown.Devices, portalwire.Device{ID: d.ID, Kind: string(d.Kind), Confirmed: d.Confirmed, Removable: d.Removable})
	}
	shown.More = max(0, len(o.Sessions)-mostShown)
	for _, s := range o.Sessions[:min(len(o.Sessions), mostShown)] {
		host := s.Client
		shown.Sessions = append(shown.Sessions, portalwire.Session{
			ID: s.ID, Protocol: plain(s.Protocol), Address: plain(s.Address), Host: plain(host), Since: s.Since, Until: s.Until,
		})
	}
	for _, l := range o.Logins {
		shown.Logins = append(shown.Logins, portalwire.Login{
			ID: l.ID, At: l.At, Service: plain(l.Service), Host: plain(l.Host), Address: plain(l.Address), Peer: plain(l.Peer), Rule: plain(l.Rule), Denied: l.Denied,
		})
	}
	return shown
}

// plain is text that strangers may have chosen, as it can be shown.
func plain(text string) string { return deliver.Clean(text, 64) }
