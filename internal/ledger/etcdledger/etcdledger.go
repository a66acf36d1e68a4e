// Package etcdledger keeps the ledger in etcd.
//
// The entry point is [Open]. The package promises that each question goes to one
// member of the cluster, which answers with what a majority has agreed on or not at
// all; that an answer which did not come is told apart from a refusal, so that
// package casledger can resolve it; and that a member which hangs costs the logins
// after it nothing, as the others are asked from then on.
package etcdledger

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/otpgate/otpgate/internal/ledger/casledger"
)

// Settings say where the cluster is, and who we are there.
type Settings struct {
	// Endpoints are the members' URLs for clients.
	Endpoints []string
	// CAFile has the authorities, in PEM, that may vouch for members. CertificateFile
	// and KeyFile have what this machine shows: the common name in it is its user in
	// etcd. All three are read again at each connection. Without them, which is for
	// the machine itself alone, the URLs begin with http://.
	CAFile, CertificateFile, KeyFile string
	// Prefix is before the keys of the ledger.
	Prefix string
	Limits casledger.Limits
	// Now is this machine's clock, with which those of the members are compared; nil is
	// time.Now.
	Now func() time.Time `json:"-"`
}

// Cluster is the etcd of Settings. It is a [casledger.Registers].
type Cluster struct {
	settings Settings
	now      func() time.Time
	members  members
	leases   leases
}

var _ casledger.Registers = (*Cluster)(nil)

// Open gives the ledger in etcd. Nothing is asked yet: as long as etcd is not there,
// each login finds that out for itself.
func Open(settings Settings) (*casledger.Store, error) {
	cluster, err := NewCluster(settings)
	if err != nil {
		return nil, err
	}
	return casledger.New(cluster, settings.Limits), nil
}

// NewCluster gives the registers below the ledger of Open.
func NewCluster(settings Settings) (*Cluster, error) {
	if len(settings.Endpoints) == 0 {
		return nil, fmt.Errorf("ledger in etcd: no endpoints")
	}
	c := &Cluster{settings: settings, now: settings.Now}
	if c.now == nil {
		c.now = time.Now
	}
	for _, endpoint := range settings.Endpoints {
		c.members.all = append(c.members.all, &member{endpoint: endpoint, open: settings.client, patience: settings.Limits.Try / 2})
	}
	return c, nil
}

// Close releases the connections.
func (c *Cluster) Close() error { return c.members.close() }

// Get implements [casledger.Registers]. Reads are linearizable unless one asks for
// something else.
func (c *Cluster) Get(ctx context.Context, key string) (casledger.Register, error) {
	var now casledger.Register
	err := c.members.ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		response, err := client.Get(ctx, c.settings.Prefix+key)
		if err == nil && len(response.Kvs) > 0 {
			now = casledger.Register{Value: response.Kvs[0].Value, Revision: response.Kvs[0].ModRevision}
		}
		return err
	})
	return now, err
}

// Swap implements [casledger.Registers].
func (c *Cluster) Swap(ctx context.Context, key string, revision int64, value []byte, keep time.Duration) (swapped bool, now casledger.Register, err error) {
	var options []clientv3.OpOption
	var lease clientv3.LeaseID
	if keep > 0 {
		if lease, err = c.leases.get(ctx, &c.members, keep); err != nil {
			return false, now, err
		}
		options = append(options, clientv3.WithLease(lease))
	}
	name := c.settings.Prefix + key
	err = c.members.ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(name), "=", revision)).
			Then(clientv3.OpPut(name, string(value), options...)).
			Else(clientv3.OpGet(name)).
			Commit()
		if err != nil {
			return err
		}
		swapped = response.Succeeded
		if !swapped {
			if found := response.Responses[0].GetResponseRange().GetKvs(); len(found) > 0 {
				now = casledger.Register{Value: found[0].Value, Revision: found[0].ModRevision}
			}
		}
		return nil
	})
	if keep > 0 && isLeaseGone(err) {
		c.leases.forget(lease)
		err = fmt.Errorf("%w: %w", casledger.ErrUnavailable, err) // the next try gets another one
	}
	return swapped, now, err
}
