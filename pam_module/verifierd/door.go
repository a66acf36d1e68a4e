package main

import (
	"fmt"
	"sync"
	"time"
)

// limits are what one peer can make the others wait for.
type limits struct {
	// opening is how long a peer may take to say what it wants. A front says
	// it at once.
	opening time.Duration
	// dialogue is for fronts that name no time of their own.
	dialogue time.Duration
	// perUser bounds the open dialogues of an ordinary user's programs, and
	// perMinute how many they may begin, as each may cost a line in the log.
	perUser, perMinute int
	// strangers bounds those of all ordinary users together: a user may own
	// many ids, see subuid(5).
	strangers int
	// trusted bounds those of root and of each user in verifier.allow.
	trusted int
}

var usual = limits{opening: 5 * time.Second, dialogue: 2 * time.Minute, perUser: 16, perMinute: 120, strangers: 512, trusted: 4096}

// complainEvery is how often the log is told of a user who is refused: a flood
// must not fill it.
const complainEvery = time.Minute

// door counts who is in.
type door struct {
	limits limits
	now    func() time.Time

	mu        sync.Mutex
	users     map[uint32]*visitor
	open      int
	strangers int
	last      time.Time // when a connection began or ended
}

// visitor is one user's programs.
type visitor struct {
	open  int
	spare float64   // dialogues that may begin at once
	since time.Time // when spare was right
	told  time.Time
}

func newDoor(limits limits) *door {
	return &door{limits: limits, now: time.Now, users: map[uint32]*visitor{}, last: time.Now()}
}

// enter counts a connection, or refuses it; complaint is then for the log,
// unless it is empty.
func (d *door) enter(uid uint32, trusted bool) (ok bool, complaint string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	user := d.user(uid, now)
	reason := d.refusal(user, trusted)
	if reason == "" {
		user.open++
		d.open++
		if !trusted {
			user.spare--
			d.strangers++
		}
		d.last = now
		return true, ""
	}
	if now.Sub(user.told) >= complainEvery {
		user.told = now
		complaint = fmt.Sprintf("uid %d is refused: %s", uid, reason)
	}
	return false, complaint
}

func (d *door) refusal(user *visitor, trusted bool) string {
	switch {
	case trusted && user.open >= d.limits.trusted:
		return fmt.Sprintf("it has %d dialogues open", user.open)
	case trusted:
		return ""
	case user.open >= d.limits.perUser:
		return fmt.Sprintf("it has %d dialogues open and is not in verifier.allow", user.open)
	case user.spare < 1:
		return fmt.Sprintf("it began more than %d dialogues in a minute and is not in verifier.allow", d.limits.perMinute)
	case d.strangers >= d.limits.strangers:
		return fmt.Sprintf("users who are not in verifier.allow have %d dialogues open", d.strangers)
	}
	return ""
}

// user finds or makes a visitor, with what the time has given back to it.
func (d *door) user(uid uint32, now time.Time) *visitor {
	full := float64(d.limits.perMinute)
	user := d.users[uid]
	if user == nil {
		d.sweep(now)
		user = &visitor{spare: full, since: now}
		d.users[uid] = user
	}
	user.spare = min(full, user.spare+now.Sub(user.since).Minutes()*full)
	user.since = now
	return user
}

// sweep forgets those of whom there is nothing to remember.
func (d *door) sweep(now time.Time) {
	const few = 1000
	if len(d.users) < few {
		return
	}
	for uid, user := range d.users {
		if user.open == 0 && now.Sub(user.since) > complainEvery {
			delete(d.users, uid)
		}
	}
}

func (d *door) leave(uid uint32, trusted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users[uid].open--
	d.open--
	if !trusted {
		d.strangers--
	}
	d.last = d.now()
}

// idle says how long nobody has asked anything.
func (d *door) idle() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open > 0 {
		return 0
	}
	return d.now().Sub(d.last)
}
