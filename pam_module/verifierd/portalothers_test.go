package main

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// Whoever took the page over, has a link, and knows others' names and the hashes that the
// ledger has of their links, gets at nothing of theirs: by no request is a word said of
// them, and nothing of what is kept changes.
func TestPageTakenOverReachesNobodyElse(t *testing.T) {
	r := newPortalRig(t, wide)
	r.frozen(portalChanges, portalWrong)
	_ = r.enroll(t, "alice")
	hers, own := r.invite(t, "alice", false), r.invite(t, "mallory", false)
	herSession, session := r.begin(t, hers).BrowserSession, r.begin(t, own)
	herHash, _, _ := strings.Cut(herSession, ".")
	hash, secret, _ := strings.Cut(session.BrowserSession, ".")
	before := r.kept(t)
	code := codeOf(t, session, 0)
	var texts []string
	for _, text := range []string{"alice", herHash, "invited/alice", "../users/alice", "users/alice.toml", "%2e%2e/users/alice", "@all", "*", "a…e", hers[:31], strings.ToUpper(hers), hers + "a", hers + "\n"} {
		texts = append(texts, text, text+"."+secret, text+"."+own, text+".", "."+text, hash+"."+text, text+"."+text, herHash+"."+text)
	}
	for _, text := range texts {
		for _, request := range []portalwire.Request{
			{Op: portalwire.Open, Link: text}, {Op: portalwire.Begin, Link: text}, {Op: portalwire.Resume, BrowserSession: text},
			{Op: portalwire.Confirm, BrowserSession: text, First: code}, {Op: portalwire.Confirm, BrowserSession: text, First: code, Current: code},
			{Op: portalwire.Op(text), Link: own}, {Op: portalwire.Resume, Link: text, BrowserSession: session.BrowserSession}, {Op: portalwire.Begin, Link: own, Current: text},
		} {
			request.Remote = "192.0.2.66"
			answer, ok := r.sends(t, portalUID, request)
			known := answer.Refused == portalwire.Unknown || answer.Refused == portalwire.Locked || answer.Refused == portalwire.OpenedAgain && strings.HasPrefix(text, hash)
			switch {
			case !ok, answer.Page != nil && answer.Page.State == portalwire.Unknown && answer.Page.Name == "" && answer.Page.At.IsZero():
			case answer.Refused == portalwire.OpenedAgain && strings.HasPrefix(text, herHash):
				// Who knows the hash of her link learns that it has been opened.
			case !known || answer.Setup != nil:
				t.Errorf("%q with %q: %#v", request.Op, text, answer.Refused)
			}
		}
	}
	if after := r.kept(t); !maps.Equal(before, after) {
		for path := range before {
			if before[path] != after[path] {
				t.Errorf("%s has changed", path)
			}
		}
		t.Errorf("%d files were kept, and now are %d", len(before), len(after))
	}
	if r.answered(t, portalwire.Request{Op: portalwire.Resume, BrowserSession: herSession}).Setup == nil {
		t.Error("alice's page is not shown any more")
	}
}

// kept are the secret files and the ledger, but for what addresses did wrong.
func (r *portalRig) kept(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range []string{r.users, filepath.Join(r.dir, "state")} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || entry.IsDir() || filepath.Base(filepath.Dir(path)) == "sources" {
				return err
			}
			text, err := os.ReadFile(path)
			all[path] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// madeUp is a link that is none, another one for each number.
func madeUp(number uint64) string {
	secret := make([]byte, 20)
	binary.BigEndian.PutUint64(secret, number)
	return strings.ToLower(base32.StdEncoding.EncodeToString(secret))
}

// Ten thousand wrong links, each from another address, leave in ledger, log and memory
// what a few of them do. Whoever has a link enrolls meanwhile.
func TestManyWrongLinks(t *testing.T) {
	const many, atOnce = 10_000, 8
	r := newPortalRig(t, wide)
	r.frozen(portalChanges, portalWrong)
	alices := r.invite(t, "alice", false)
	ask := func(n uint64) {
		link := madeUp(n)
		key, _ := invitation.KeyOf(link, "")
		session := key.Name + "." + link
		request := []portalwire.Request{
			{Op: portalwire.Open, Link: link}, {Op: portalwire.Begin, Link: link},
			{Op: portalwire.Resume, BrowserSession: session}, {Op: portalwire.Confirm, BrowserSession: session, First: "123456"},
		}[n%4]
		request.Remote = fmt.Sprintf("10.1.%d.%d", n/250, 1+n%250)
		answer, ok := r.sends(t, portalUID, request)
		if !ok || answer.Refused != portalwire.Unknown && (answer.Page == nil || answer.Page.State != portalwire.Unknown) {
			t.Errorf("%q: answered %v, %#v", request.Op, ok, answer.Refused)
		}
	}
	var group sync.WaitGroup
	for part := range uint64(atOnce) {
		group.Go(func() {
			for n := part; n < many; n += atOnce {
				ask(n)
			}
		})
	}
	setup := r.begin(t, alices)
	if r.answered(t, portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: codeOf(t, setup, 0)}).Enrolled == nil {
		t.Error("alice is not enrolled")
	}
	group.Wait()
	_ = r.log.take(t, portalWrong+2) // two are of alice
	if sources, links := r.names(t, "sources"), r.names(t, "links"); len(sources) != portalWrong || len(links) != 1 {
		t.Errorf("the ledger has %d addresses and %d links", len(sources), len(links))
	}
	l := r.portal.limits.links
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.changes) > 1 {
		t.Errorf("%d links are remembered", len(l.changes))
	}
}
