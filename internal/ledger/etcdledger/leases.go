package etcdledger

import (
	"context"
	"maps"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// leases has etcd forget what was not changed for some time. One lease is for all
// that is stored within an hour and kept for as long: who guesses from many addresses
// would otherwise make one at each guess.
type leases struct {
	mu  sync.Mutex
	all map[time.Duration]lease
}

type lease struct {
	id    clientv3.LeaseID
	until time.Time
}

const leaseShared = time.Hour

// get gives a lease that lasts for keep at least.
func (l *leases) get(ctx context.Context, members *members, keep time.Duration) (clientv3.LeaseID, error) {
	l.mu.Lock()
	have := l.all[keep]
	l.mu.Unlock()
	if time.Now().Before(have.until) {
		return have.id, nil
	}
	id := clientv3.NoLease
	begin := time.Now() // the monotonic clock: setting the machine's makes no difference
	err := members.ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		response, err := client.Grant(ctx, int64((keep+leaseShared)/time.Second))
		if err == nil {
			id = response.ID
		}
		return err
	})
	if err != nil {
		return clientv3.NoLease, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.all, func(_ time.Duration, old lease) bool { return !begin.Before(old.until) })
	if l.all == nil {
		l.all = map[time.Duration]lease{}
	}
	l.all[keep] = lease{id, begin.Add(leaseShared)}
	return id, nil
}

// forget has the next one get another lease: somebody revoked this one.
func (l *leases) forget(id clientv3.LeaseID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.all, func(_ time.Duration, revoked lease) bool { return revoked.id == id })
}
