package etcdledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/otpgate/otpgate/internal/ledger/casledger"
)

var _ casledger.Inspector = (*Cluster)(nil)

// pageRegisters is how many Page gives at most: of the largest entries 8 MiB.
const pageRegisters = 128

// Page implements [casledger.Inspector].
func (c *Cluster) Page(ctx context.Context, after string) ([]casledger.Named, error) {
	first := c.settings.Prefix
	if after != "" {
		first += after + "\x00"
	}
	var page []casledger.Named
	err := c.members.ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		response, err := client.Get(ctx, first, clientv3.WithRange(clientv3.GetPrefixRangeEnd(c.settings.Prefix)), clientv3.WithLimit(pageRegisters))
		if err != nil {
			return err
		}
		page = nil
		for _, found := range response.Kvs {
			page = append(page, casledger.Named{
				Key:      strings.TrimPrefix(string(found.Key), c.settings.Prefix),
				Register: casledger.Register{Value: found.Value, Revision: found.ModRevision},
			})
		}
		return nil
	})
	return page, err
}

// Status implements [casledger.Inspector]. All members are asked at once.
func (c *Cluster) Status(ctx context.Context) (casledger.Status, error) {
	status := casledger.Status{Prefix: c.settings.Prefix, Members: make([]casledger.Member, len(c.members.all))}
	sizes := make([]int, len(c.members.all))
	var all sync.WaitGroup
	all.Go(func() { status.Refused = c.refused(ctx) })
	all.Go(func() { status.Unguarded = c.unguarded(ctx) })
	for i, one := range c.members.all {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, c.settings.Limits.Try)
			defer cancel()
			status.Members[i], sizes[i] = c.look(ctx, one)
		})
	}
	all.Wait()
	for _, size := range sizes {
		status.Size = max(status.Size, size)
	}
	return status, nil
}

// refused is why this machine may not read and change the ledger. It asks for a change
// that is made at no revision: users and roles are looked at before that.
func (c *Cluster) refused(ctx context.Context) string {
	name := c.settings.Prefix + "id"
	err := c.askAnybody(ctx, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(name), "<", 0)).
			Then(clientv3.OpPut(name, "")).Else(clientv3.OpGet(name)).Commit()
		return err
	})
	if err != nil {
		return err.Error()
	}
	return ""
}

// unguarded says that this machine may read a key that is before all of anybody's.
func (c *Cluster) unguarded(ctx context.Context) bool {
	return c.askAnybody(ctx, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Get(ctx, "\x00")
		return err
	}) == nil
}

// askAnybody puts a question to one member after the other until one answers.
func (c *Cluster) askAnybody(ctx context.Context, question func(context.Context, *clientv3.Client) error) (err error) {
	for range c.members.all {
		try, cancel := context.WithTimeout(ctx, c.settings.Limits.Try/time.Duration(len(c.members.all)))
		err = c.members.ask(try, question)
		cancel()
		if !errors.Is(err, errNoAnswer) {
			break
		}
	}
	return err
}

// look asks one member how it is, and how many it knows of.
func (c *Cluster) look(ctx context.Context, one *member) (now casledger.Member, size int) {
	now.URL = one.endpoint
	client, err := c.settings.client(one.endpoint)
	if err != nil {
		now.Problem = err.Error()
		return now, 0
	}
	defer client.Close()
	status, err := client.Status(ctx, one.endpoint)
	if err = classify(err); err != nil {
		now.Problem = err.Error()
		return now, 0
	}
	now.Version, now.Bytes, now.InUse, now.Alarms = status.Version, status.DbSize, status.DbSizeInUse, status.Errors
	now.Leader = status.Leader == status.Header.MemberId
	if list, err := client.MemberList(ctx); err == nil {
		size = len(list.Members)
	}
	if err := c.readMetrics(ctx, one.endpoint, &now); err != nil {
		now.Problem = "its metrics cannot be read, which say its quota: " + err.Error()
	}
	return now, size
}

// between is the time nearest to a clock's at which it was read, however long that took.
func between(begun, clock, ended time.Time) time.Time {
	switch {
	case clock.Before(begun):
		return begun
	case clock.After(ended):
		return ended
	}
	return clock
}

// maxMetrics bounds what is read of them; etcd has some 100 kB.
const maxMetrics = 4 << 20

// readMetrics reads what etcd says nowhere else: its quota, its clock, and until when its
// certificate is good, which is another's where a proxy is in between. The file of
// its metrics has the same certificates as its other answers.
func (c *Cluster) readMetrics(ctx context.Context, endpoint string, now *casledger.Member) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/metrics", nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true} // and no proxy
	begun := c.now()
	if c.settings.CertificateFile != "" {
		transport.TLSClientConfig = c.settings.tls(request.URL.Hostname())
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		now.Certificate = response.TLS.PeerCertificates[0].NotAfter
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("expected the status 200, found %s", response.Status)
	}
	if clock, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		now.Clock, now.Asked = clock, between(begun.Truncate(time.Second), clock, c.now())
	}
	lines := bufio.NewScanner(io.LimitReader(response.Body, maxMetrics))
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), "etcd_server_quota_backend_bytes "); found {
			quota, err := strconv.ParseFloat(value, 64)
			now.Quota = int64(quota)
			return err
		}
	}
	return lines.Err()
}
