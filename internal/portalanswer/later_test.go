package portalanswer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otpgate/otpgate/internal/selfservice"
)

// diary has what was done and what was lost, in its order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, " ")
}

// job notes its name when it is done, or that it is lost.
func (d *diary) job(of, name string) selfservice.Job {
	return selfservice.Job{
		Of: of, Do: func(context.Context) { d.note(name) },
		Lost: func(why error) {
			if !errors.Is(why, selfservice.ErrBusy) && !errors.Is(why, errHangs) && !errors.Is(why, selfservice.ErrEnded) {
				d.note("another reason")
			}
			d.note("-" + name)
		},
	}
}

// held is a Later whose first mail waits for the test, with all others behind it.
func held(t *testing.T) (l *Later, release func()) {
	t.Helper()
	l = &Later{}
	begun, hold := make(chan struct{}), make(chan struct{})
	l.Link(selfservice.Job{Of: "first", Do: func(context.Context) { close(begun); <-hold }, Lost: func(error) {}})
	<-begun
	return l, sync.OnceFunc(func() { close(hold) })
}

// Those whose mails wait take turns, and so do links and changes: neither who asks for many
// links nor who changes much holds up others for long.
func TestMailsTakeTurns(t *testing.T) {
	l, release := held(t)
	var d diary
	for n := range 3 {
		l.Link(d.job("stranger", fmt.Sprint("s", n)))
	}
	l.Link(d.job("home", "alice"))
	for n := range 3 {
		l.Change(d.job("user eve", fmt.Sprint("e", n)))
	}
	l.Change(d.job("user bob", "bob"))
	release()
	l.End(t.Context())
	if got, want := d.text(), "e0 s0 bob alice e1 s1 e2 s2"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
}

// Whoever has many jobs loses what is too much, and takes no place from those who have few,
// from however many addresses the jobs come.
func TestTooMuchWaits(t *testing.T) {
	l, release := held(t)
	var d diary
	for n := range 2 * mostOfOne {
		l.Link(d.job("stranger", fmt.Sprint("s", n)))
	}
	if lost := strings.Count(d.text(), "-"); lost != mostOfOne {
		t.Errorf("%d are lost, expected %d", lost, mostOfOne)
	}
	for address := range mostOfAll / 2 {
		for n := range 3 {
			l.Link(d.job(fmt.Sprint("address", address), fmt.Sprint("a", address, ".", n)))
		}
	}
	l.Link(d.job("home", "alice"))
	if strings.Contains(d.text(), "-alice") || l.links.count > mostOfAll {
		t.Errorf("%d wait; %s", l.links.count, d.text()[:100])
	}
	release()
	l.End(t.Context())
	if !slices.Contains(d.lines, "alice") {
		t.Error("alice's is not done")
	}
}

// Whoever has a network with more addresses than may wait takes no place from anybody
// either, and others wait for one turn of it.
func TestNetworkTakesOneTurn(t *testing.T) {
	l, release := held(t)
	var d diary
	inNetwork := func(address int, name string) selfservice.Job {
		job := d.job(fmt.Sprint("address", address), name)
		job.Network = "strangers"
		return job
	}
	for address := range 2 * mostOfAll {
		l.Link(inNetwork(address, "s"))
	}
	l.Link(d.job("home", "alice"))
	l.Link(d.job("office", "bob"))
	lost := strings.Fields(d.text())
	if len(lost) != mostOfAll+2 || slices.ContainsFunc(lost, func(line string) bool { return line != "-s" }) || l.links.count != mostOfAll {
		t.Errorf("%d are lost, and %d wait", len(lost), l.links.count)
	}
	release()
	l.End(t.Context())
	if done := d.lines[len(lost):]; len(done) != mostOfAll || !slices.Equal(done[:4], []string{"s", "alice", "bob", "s"}) {
		t.Errorf("%d are done, first %s", len(done), done[:4])
	}
	if len(l.links.of) > 0 || len(l.links.order) > 0 || l.links.count != 0 {
		t.Errorf("left: %+v", l.links)
	}
}

// Looks wait for no mail, and a link that a look asks for is mailed also at the end.
func TestLooksWaitForNoMail(t *testing.T) {
	l, release := held(t)
	var d diary
	looked := make(chan struct{})
	l.Look(selfservice.Job{Of: "home", Do: func(context.Context) {
		l.Link(d.job("home", "alice"))
		close(looked)
	}})
	<-looked
	if !l.Waits() {
		t.Error("nothing waits")
	}
	release()
	l.End(t.Context())
	if d.text() != "alice" || l.Waits() {
		t.Errorf("%s", d.text())
	}
	l.Look(d.job("home", "late"))
	l.Link(d.job("home", "later"))
	if d.text() != "alice -late -later" {
		t.Errorf("%s", d.text())
	}
}

// What is not done when the end comes is told that it is lost: what waits, and what cannot
// be given up.
func TestNothingIsLostSilently(t *testing.T) {
	l, release := held(t)
	var d diary
	l.Link(d.job("home", "alice"))
	l.Change(d.job("user bob", "bob"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.givesUp = 1
	l.End(ctx)
	if d.text() != "-bob -alice" {
		t.Errorf("%s", d.text())
	}
	release()
	l.Wait()

	l = &Later{}
	begun := make(chan struct{})
	l.Link(selfservice.Job{Of: "home", Do: func(ctx context.Context) { close(begun); <-ctx.Done(); d.note("gave up") }, Lost: func(error) { d.note("-hanging") }})
	<-begun
	l.End(ctx)
	if d.text() != "-bob -alice gave up" {
		t.Errorf("%s", d.text())
	}
}

// A look that hangs is told as lost too.
func TestHangingLookIsLost(t *testing.T) {
	l := &Later{givesUp: 1}
	var d diary
	begun, hold := make(chan struct{}), make(chan struct{})
	job := d.job("home", "look")
	job.Do = func(context.Context) { close(begun); <-hold }
	l.Look(job)
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.End(ctx)
	close(hold)
	l.Wait()
	if d.text() != "-look" {
		t.Errorf("%s", d.text())
	}
}

// Looks that hang, in a call that nothing ends, are told as lost and hold up the others for their
// time alone, until there are too many of them. Mails go on meanwhile.
func TestHangingLooksAreLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Later{}
		var d diary
		hold := make(chan struct{})
		for n := range mostHanging + 1 {
			job := d.job(fmt.Sprint("h", n), fmt.Sprint("h", n))
			job.Do = func(context.Context) { <-hold }
			l.Look(job)
		}
		look := d.job("home", "alice")
		look.Do = func(context.Context) { l.Link(d.job("home", "alice")) }
		l.Look(look)
		for n := range mostHanging {
			if want := fmt.Sprint("-h", n); strings.Contains(d.text(), want) {
				t.Errorf("%s too early: %s", want, d.text())
			}
			time.Sleep(longestLook + GivingUp)
			synctest.Wait()
			if want := fmt.Sprint("-h", n); !strings.HasSuffix(d.text(), want) {
				t.Errorf("%s, expected %s", d.text(), want)
			}
		}
		time.Sleep(longestLook + GivingUp)
		synctest.Wait()
		last := fmt.Sprint("-h", mostHanging)
		if strings.Contains(d.text(), last) {
			t.Errorf("%s is told as lost while there is no place to leave it behind: %s", last, d.text())
		}
		l.Change(d.job("user bob", "bob"))
		synctest.Wait()
		if !strings.HasSuffix(d.text(), " bob") {
			t.Errorf("%s", d.text())
		}
		hold <- struct{}{}
		synctest.Wait()
		if !strings.HasSuffix(d.text(), last+" alice") {
			t.Errorf("%s", d.text())
		}
		close(hold)
		l.End(t.Context())
		if lost := strings.Count(d.text(), "-"); lost != mostHanging+1 {
			t.Errorf("%d told as lost: %s", lost, d.text())
		}
	})
}

// Telling that a job is lost may hang as the job itself does: both may need one file system.
// That holds up the others for its time alone too.
func TestTellingThatHangsIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Later{}
		var d diary
		hold := make(chan struct{})
		l.Link(selfservice.Job{Of: "stranger", Do: func(context.Context) { <-hold }, Lost: func(error) { <-hold; d.note("-link") }})
		l.Link(d.job("home", "alice"))
		time.Sleep(longest + 2*GivingUp)
		synctest.Wait()
		if d.text() != "alice" {
			t.Errorf("%s, expected alice", d.text())
		}
		close(hold)
		synctest.Wait()
		if d.text() != "alice -link" || len(l.ofMails.hanging) > 0 {
			t.Errorf("%s; %d are left behind", d.text(), len(l.ofMails.hanging))
		}
	})
}

// A job that ends after all, while there is no place to leave it behind, is not told as lost.
func TestEndsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Later{}
		var d diary
		hold := make(chan struct{})
		link := d.job("home", "link")
		link.Do = func(context.Context) { <-hold; d.note("link") }
		l.Link(link)
		for range mostHanging {
			l.ofMails.hanging <- struct{}{}
		}
		time.Sleep(longest + 2*GivingUp)
		synctest.Wait()
		close(hold)
		l.Wait()
		if d.text() != "link" || len(l.ofMails.hanging) != mostHanging {
			t.Errorf("%s; %d are left behind", d.text(), len(l.ofMails.hanging))
		}
	})
}

// What still comes while the end waits is done or lost, at whatever moment it comes.
func TestChangesComeWhileItEnds(t *testing.T) {
	for range 500 {
		l := &Later{}
		var d diary
		var all sync.WaitGroup
		for n := range 4 {
			all.Go(func() {
				for range 4 {
					l.Change(d.job(fmt.Sprint("user", n), "c"))
				}
			})
		}
		l.End(t.Context())
		all.Wait()
		if told := len(strings.Fields(d.text())); told != 16 {
			t.Fatalf("%d are done or lost, expected 16", told)
		}
	}
}

// A panic costs that one job alone.
func TestPanicLater(t *testing.T) {
	failed := make(chan any, 1)
	l := &Later{Panicked: func(panicked any) { failed <- panicked }}
	var d diary
	l.Link(selfservice.Job{Of: "home", Do: func(context.Context) { panic("oops") }})
	l.Link(d.job("home", "next"))
	l.End(t.Context())
	if got := <-failed; got != "oops" || d.text() != "next" {
		t.Errorf("%v, %s", got, d.text())
	}
}
