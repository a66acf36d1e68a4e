package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/ratelimit"
)

// counts is what each client takes. There are as many clients as files.
type counts struct {
	now   func() time.Time
	spare int

	mu sync.Mutex
	of map[string]*used
}

type used struct {
	connections, dialogues int
	rate                   ratelimit.Limiter
	// unprivileged are those of the dialogues that anybody on the client can begin, and
	// unprivilegedRate is for them: they take no more than half of its dialogues, and
	// nothing of what others may begin in a minute.
	unprivileged     int
	unprivilegedRate ratelimit.Limiter
}

func newCounts(now func() time.Time) *counts {
	return &counts{now: now, spare: usual.spare, of: map[string]*used{}}
}

func (u *counts) client(name string) *used {
	of := u.of[name]
	if of == nil {
		of = &used{}
		u.of[name] = of
	}
	return of
}

// connect counts a connection, of which there may be more than dialogues.
func (u *counts) connect(client clients.Client) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.client(client.Client)
	if of.connections >= client.Dialogues+u.spare {
		return false
	}
	of.connections++
	return true
}

func (u *counts) disconnect(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.client(name).connections--
}

// begin counts a login, or says which limit of the client's file is against it.
func (u *counts) begin(client clients.Client, unprivileged bool) (rule, reason string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.client(client.Client)
	rate := &of.rate
	if unprivileged {
		rate = &of.unprivilegedRate
	}
	switch {
	case of.dialogues >= client.Dialogues:
		return "client.dialogues", fmt.Sprintf("%s has %d logins open", client.Client, of.dialogues)
	case unprivileged && of.unprivileged >= (client.Dialogues+1)/2:
		return "client.dialogues", fmt.Sprintf("%s has %d logins open that programs of others than root began, or that come before the password", client.Client, of.unprivileged)
	case !rate.Take(u.now(), client.PerMinute):
		return "client.per_minute", fmt.Sprintf("%s began more than %d logins in a minute", client.Client, client.PerMinute)
	}
	of.dialogues++
	if unprivileged {
		of.unprivileged++
	}
	return "", ""
}

func (u *counts) end(name string, unprivileged bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.client(name)
	of.dialogues--
	if unprivileged {
		of.unprivileged--
	}
}
