package main

import (
	"errors"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// crew is a worker with the keeper of its PAM session. It serves one
// connection, or all of one person's.
type crew struct {
	key    string // of a shared one, else ""
	worker *seqpacket.Conn
	keeper *keeper
	ended  <-chan struct{}
	users  int
	mu     sync.Mutex // one message at a time to the worker
	heard  sync.Once  // what it said of the directory that it begins in
}

// crews are those that are open.
type crews struct {
	broker *broker
	mu     sync.Mutex
	shared map[string]*crew
	making map[string]*sync.Mutex
	open   sync.WaitGroup
}

// linger is how long a shared worker waits for another connection.
const linger = 30 * time.Second

// join gives a person's connection a crew, by way of its keeper, which is the
// crew's from then on or ends.
func (c *crews) join(k *keeper, spec messages.Spec, per config.WorkerPer) (*crew, error) {
	if per != config.PerUser {
		return c.make(k, spec, "")
	}
	key := keyOf(spec)
	making := c.maker(key)
	making.Lock()
	defer making.Unlock()
	if found := c.find(key); found != nil {
		k.close()
		return found, nil
	}
	return c.make(k, spec, key)
}

// keyOf is for whom a worker can be shared: all that makes workers different.
func keyOf(spec messages.Spec) string {
	var w seqpacket.Writer
	spec.Write(&w)
	return string(w.Bytes)
}

func (c *crews) maker(key string) *sync.Mutex {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.making == nil {
		c.making, c.shared = map[string]*sync.Mutex{}, map[string]*crew{}
	}
	if c.making[key] == nil {
		c.making[key] = &sync.Mutex{}
	}
	return c.making[key]
}

func (c *crews) find(key string) *crew {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.shared[key]
	if found == nil {
		return nil
	}
	select {
	case <-found.ended:
		return nil
	default:
	}
	found.users++
	return found
}

func (c *crews) make(k *keeper, spec messages.Spec, key string) (*crew, error) {
	worker, ended, err := k.open(c.broker.programs.worker, spec)
	if err != nil {
		k.close()
		return nil, err
	}
	made := &crew{key: key, worker: worker, keeper: k, ended: ended, users: 1}
	c.open.Add(1)
	c.mu.Lock()
	if key != "" {
		c.shared[key] = made
	}
	c.mu.Unlock()
	go func() {
		<-ended
		c.mu.Lock()
		if c.shared[key] == made {
			delete(c.shared, key)
		}
		c.mu.Unlock()
		_ = worker.Close()
		c.open.Done()
	}()
	return made, nil
}

// leave is called once for each join. The worker ends when nobody uses it and
// its sessions are over.
func (c *crews) leave(left *crew) {
	c.mu.Lock()
	left.users--
	idle := left.users == 0
	c.mu.Unlock()
	switch {
	case !idle:
	case left.key == "":
		_ = left.worker.Close()
	default:
		time.AfterFunc(linger, func() { c.retire(left) })
	}
}

// retire ends a shared crew that is still without users. Another may be in its
// place: a login that waited to make one, and one that came after this has
// forgotten whom it waited for, make one each.
func (c *crews) retire(old *crew) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old.users > 0 {
		return
	}
	if c.shared[old.key] == old {
		delete(c.shared, old.key)
		delete(c.making, old.key)
	}
	_ = old.worker.Close() // it may have ended
}

// wait closes what nobody uses and waits until all have ended, or so long.
func (c *crews) wait(most time.Duration) {
	c.mu.Lock()
	for _, idle := range c.shared {
		if idle.users == 0 {
			_ = idle.worker.Close()
		}
	}
	c.mu.Unlock()
	done := make(chan struct{})
	go func() { c.open.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(most):
	}
}

// hear waits for what a worker says of spec.Start, and reports it once if it is
// elsewhere.
func (c *crew) hear(report func(error)) {
	c.heard.Do(func() {
		buffer := make([]byte, 8<<10)
		n, fds, err := c.worker.Receive(buffer)
		seqpacket.CloseAll(fds)
		if err != nil {
			return // it has ended
		}
		if problem := seqpacket.NewReader(buffer[:n]).Text(); problem != "" {
			report(errors.New(problem))
		}
	})
}

// session has the worker serve another session and returns the front's end.
func (c *crew) session() (fd int, err error) {
	ours, theirs, err := seqpacket.Pair()
	if err != nil {
		return -1, err
	}
	defer ours.Close()
	defer theirs.Close()
	select {
	case <-c.ended:
		return -1, errors.New("the worker has ended")
	default:
	}
	c.mu.Lock()
	err = c.worker.Send([]byte{messages.WorkerSession}, int(theirs.Fd()))
	c.mu.Unlock()
	if err != nil {
		return -1, err
	}
	return ours.Dup()
}
