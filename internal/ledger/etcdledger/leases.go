package etcdledger

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// leases has etcd forget what was not changed for some time. One lease is for all
// that is stored within an hour: who guesses from many addresses would otherwise
// make one at each guess.
type leases struct {
	mu    sync.Mutex
	id    clientv3.LeaseID
	keep  time.Duration
	until time.Time
}

const leaseShared = time.Hour

// get gives a lease that lasts for keep at least.
func (l *leases) get(ctx context.Context, members *members, keep time.Duration) (clientv3.LeaseID, error) {
	l.mu.Lock()
	id, good := l.id, l.id != clientv3.NoLease && l.keep == keep && time.Now().Before(l.until)
	l.mu.Unlock()
	if good {
		return id, nil
	}
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
	l.id, l.keep, l.until = id, keep, begin.Add(leaseShared)
	return id, nil
}

// forget has the next one get another lease: somebody revoked this one.
func (l *leases) forget(id clientv3.LeaseID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.id == id {
		l.id = clientv3.NoLease
	}
}
