package etcdledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// members are those of the cluster. Each has a client of its own: one client for all
// of them would go on asking a member that hangs, in turn with the others.
type members struct {
	all []*member

	mu sync.Mutex
	// at is the member that is asked: the last one that answered.
	at int
}

type member struct {
	endpoint string
	open     func(endpoint string) (*clientv3.Client, error)
	// patience is how long a question must have waited to say that the connection
	// is dead, and not that whoever asked went away.
	patience time.Duration

	mu     sync.Mutex
	client *clientv3.Client
	// answers is how many there were.
	answers int
	// failed is why the last question was not answered, nil if it was, and silent how many in
	// a row were not, as far as mostSilent.
	failed error
	silent int
}

// mostSilent tells a member that hangs from one that was late once. It is as small as it
// can be: none is left for longer than two questions to each of the others.
const mostSilent = 2

// ask puts a question to one member. If it does not answer, the next question goes
// to another one.
func (m *members) ask(ctx context.Context, question func(context.Context, *clientv3.Client) error) error {
	m.mu.Lock()
	at := m.at
	m.mu.Unlock()
	err := m.all[at].ask(ctx, question)
	if err == nil || !errors.Is(err, errNoAnswer) {
		return err
	}
	m.mu.Lock()
	if m.at == at {
		m.at = m.after(at)
	}
	m.mu.Unlock()
	return fmt.Errorf("%w from etcd, of whose %d members %d must work: %s", errNoAnswer, len(m.all), len(m.all)/2+1, m.failures())
}

// after is who is asked after a member that did not answer: of the others the one of whom
// fewest questions in a row were not answered, the next one of several. On a busy machine any
// may be late, and one that hangs would be asked again for that.
func (m *members) after(at int) int {
	best, fewest := at, mostSilent+1
	for n := 1; n < len(m.all); n++ {
		one := m.all[(at+n)%len(m.all)]
		one.mu.Lock()
		silent := one.silent
		one.mu.Unlock()
		if silent < fewest {
			best, fewest = (at+n)%len(m.all), silent
		}
	}
	return best
}

// failures says of each member why it did not answer.
func (m *members) failures() string {
	var all []string
	for _, one := range m.all {
		one.mu.Lock()
		if one.failed != nil {
			all = append(all, one.endpoint+": "+one.failed.Error())
		}
		one.mu.Unlock()
	}
	return strings.Join(all, "; ")
}

func (m *members) close() error {
	var err error
	for _, one := range m.all {
		one.mu.Lock()
		if one.client != nil {
			err = errors.Join(err, one.client.Close())
			one.client = nil
		}
		one.mu.Unlock()
	}
	return err
}

func (m *member) ask(ctx context.Context, question func(context.Context, *clientv3.Client) error) error {
	client, before, err := m.get()
	if err != nil {
		return err
	}
	begin := time.Now()
	err = classify(question(clientv3.WithRequireLeader(ctx), client))
	m.mu.Lock()
	defer m.mu.Unlock()
	if !errors.Is(err, errNoAnswer) {
		m.answers++
		m.failed, m.silent = nil, 0
		return err
	}
	waited := time.Since(begin) >= m.patience
	m.silent = min(m.silent+1, mostSilent)
	if m.failed == nil || waited || !errors.Is(err, errLate) {
		m.failed = errors.Unwrap(err)
	}
	// A connection may be dead without anybody knowing: TCP waits for a quarter of
	// an hour. Nothing came meanwhile, so the next question has a new one.
	if waited && m.client == client && m.answers == before {
		m.client = nil
		_ = client.Close()
	}
	return err
}

func (m *member) get() (client *clientv3.Client, answers int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client == nil {
		if m.client, err = m.open(m.endpoint); err != nil {
			return nil, 0, fmt.Errorf("etcd %s: %w", m.endpoint, err)
		}
	}
	return m.client, m.answers, nil
}
