package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otpgate/otpgate/internal/nss"
)

// names asks the machine's name services, as package nss does. found is false
// only if there is nobody of that name or uid for certain.
type names interface {
	UserByName(name string) (u nss.User, found bool, err error)
	UserByID(uid uint32) (u nss.User, found bool, err error)
}

type system struct{}

func (system) UserByName(name string) (nss.User, bool, error) { return nss.UserByName(name) }
func (system) UserByID(uid uint32) (nss.User, bool, error)    { return nss.UserByID(uid) }

// askAgain is how long after a name service did not answer it is asked again.
const askAgain = 5 * time.Second

// lookupPatience is how long a login waits to know whether it may be asked for.
// It is a little more than package nss takes.
const lookupPatience = 11 * time.Second

// allowList are users that the configuration names, by uid: those of verifier.allow,
// who may ask for anybody, and gateway.user, who asks for clients.
// They are looked up beside the logins, and nothing is locked meanwhile. What a
// name service does not answer leaves a uid as it was known before, and is asked
// again.
type allowList struct {
	key             string // of the configuration
	names           names
	tell            func(reason string)
	again, patience time.Duration

	uids atomic.Pointer[[]uint32]

	mu    sync.Mutex
	users []*allowedUser
	// news is closed when a lookup has ended.
	news chan struct{}
	// retry is set while doubt waits to be asked about again.
	retry *time.Timer
}

// allowedUser is one name of the list.
type allowedUser struct {
	name string
	uid  uint32
	// known says that uid is right, or was before a name service failed.
	known bool
	// asking is set while a lookup is under way, and settled after one that was
	// answered. err is what is wrong with the name, as far as is known.
	asking, settled bool
	err             error
	// told says that the log has what is wrong.
	told bool
}

func newAllowList(key string, names names, tell func(reason string)) *allowList {
	return &allowList{key: key, names: names, tell: tell, again: askAgain, patience: lookupPatience, news: make(chan struct{})}
}

// set makes these the names. Those that were there before are looked up again
// only if anew is set, and their uids are known until then.
func (a *allowList) set(names []string, anew bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.users
	a.users = nil
	for _, name := range names {
		user := &allowedUser{name: name}
		if i := slices.IndexFunc(old, func(u *allowedUser) bool { return u.name == name }); i >= 0 && !anew {
			user = old[i]
		} else if i >= 0 {
			user.uid, user.known, user.told = old[i].uid, old[i].known, old[i].told
		}
		a.users = append(a.users, user)
	}
	a.publish()
	a.ask()
}

// publish must be called with the lock, as ask must.
func (a *allowList) publish() {
	var uids []uint32
	for _, user := range a.users {
		if user.known {
			uids = append(uids, user.uid)
		}
	}
	a.uids.Store(&uids)
}

// ask begins to look up whoever is not settled.
func (a *allowList) ask() {
	for _, user := range a.users {
		if !user.settled && !user.asking {
			user.asking = true
			go a.lookUp(user)
		}
	}
}

func (a *allowList) lookUp(user *allowedUser) {
	account, found, err := a.names.UserByName(user.name)
	a.mu.Lock()
	defer a.mu.Unlock()
	user.asking, user.settled, user.err = false, err == nil, nil
	switch {
	case err != nil:
		user.err = fmt.Errorf("%s: user %q: %w", a.key, user.name, err)
		if a.retry == nil {
			a.retry = time.AfterFunc(a.again, a.askOnceMore)
		}
	case found:
		user.uid, user.known = account.UID, true
	default:
		user.known = false
		user.err = fmt.Errorf("%s: user %q: %w", a.key, user.name, nss.ErrUnknownUser)
	}
	if user.err != nil && !user.told {
		// It denies its own programs, nobody else's.
		go a.tell(user.err.Error())
	}
	user.told = user.err != nil
	a.publish()
	close(a.news)
	a.news = make(chan struct{})
}

func (a *allowList) askOnceMore() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.retry = nil
	a.ask()
}

// knows says whether uid is in the list as far as is known without looking.
func (a *allowList) knows(uid uint32) bool {
	uids := a.uids.Load()
	return uids != nil && slices.Contains(*uids, uid)
}

// has waits for what is not known yet. The error is for doubt.
func (a *allowList) has(uid uint32) (bool, error) {
	a.mu.Lock()
	a.ask()
	patience := a.patience
	a.mu.Unlock()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		a.mu.Lock()
		news := a.news
		asking, doubt := a.doubt()
		a.mu.Unlock()
		if a.knows(uid) {
			return true, nil
		}
		if !asking {
			return false, doubt
		}
		select {
		case <-news:
		case <-deadline.C:
			return false, fmt.Errorf("%s: the name service did not answer within %v", a.key, patience)
		}
	}
}

// settle waits until all that can be known is, but not for longer than most.
func (a *allowList) settle(most time.Duration) {
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	for {
		a.mu.Lock()
		news := a.news
		asking, _ := a.doubt()
		a.mu.Unlock()
		if !asking {
			return
		}
		select {
		case <-news:
		case <-deadline.C:
			return
		}
	}
}

// doubt must be called with the lock. asking says whether it may end soon.
func (a *allowList) doubt() (asking bool, err error) {
	for _, user := range a.users {
		asking = asking || user.asking
		if !user.settled && err == nil {
			err = user.err
		}
	}
	return asking, err
}
