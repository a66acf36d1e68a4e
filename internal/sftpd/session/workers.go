package session

import (
	"errors"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/stderrlog"
)

// Worker is the process that uses a person's files, in a PAM session. It serves
// one connection, or all of one person's.
type Worker struct {
	key         string // of a shared one, else ""
	conn        *seqpacket.Conn
	transaction *Transaction
	ended       <-chan struct{}
	connections int
	mu          sync.Mutex // one message at a time to the worker
	reported    sync.Once  // what it said of the directory that it begins in
	uid         uint32     // whose it is
	leaving     bool       // it was told to end, and counts until it has
}

// Workers are those that run.
type Workers struct {
	Program string // that is started
	Counts  Counts // of people's connections, and workers that have not ended after them
	mu      sync.Mutex
	shared  map[string]*Worker
	making  map[string]*sync.Mutex
	running sync.WaitGroup
	say     stderrlog.Limit // on standard error
}

// linger is how long a shared worker waits for another connection.
const linger = 30 * time.Second

// Join gives a person's connection a worker, by way of its transaction, which is
// the worker's from then on or ends.
func (w *Workers) Join(t *Transaction, spec messages.Spec, per config.WorkerPer) (*Worker, error) {
	if per != config.PerUser {
		return w.make(t, spec, "")
	}
	key := keyOf(spec)
	making := w.maker(key)
	making.Lock()
	defer making.Unlock()
	if found := w.Find(spec); found != nil {
		t.Close()
		return found, nil
	}
	return w.make(t, spec, key)
}

// keyOf is for whom a worker can be shared: all that makes workers different.
func keyOf(spec messages.Spec) string {
	var w fields.Writer
	spec.Write(&w)
	return string(w.Bytes)
}

func (w *Workers) maker(key string) *sync.Mutex {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.making == nil {
		w.making, w.shared = map[string]*sync.Mutex{}, map[string]*Worker{}
	}
	if w.making[key] == nil {
		w.making[key] = &sync.Mutex{}
	}
	return w.making[key]
}

// Find joins a connection to a worker that runs, and is nil if there is none.
func (w *Workers) Find(spec messages.Spec) *Worker {
	key := keyOf(spec)
	w.mu.Lock()
	defer w.mu.Unlock()
	found := w.shared[key]
	if found == nil {
		return nil
	}
	select {
	case <-found.ended:
		return nil
	default:
	}
	found.connections++
	return found
}

func (w *Workers) make(t *Transaction, spec messages.Spec, key string) (*Worker, error) {
	worker, ended, err := t.open(w.Program, spec, &w.say)
	if err != nil {
		t.Close()
		return nil, err
	}
	made := &Worker{key: key, conn: worker, transaction: t, ended: ended, connections: 1, uid: spec.UID}
	w.watch(made)
	return made, nil
}

// watch has a worker found, if it is shared, until it has ended.
func (w *Workers) watch(made *Worker) {
	w.running.Add(1)
	w.mu.Lock()
	if made.key != "" {
		w.shared[made.key] = made
	}
	w.mu.Unlock()
	go func() {
		<-made.ended
		w.mu.Lock()
		if w.shared[made.key] == made {
			delete(w.shared, made.key)
		}
		if made.leaving {
			w.Counts.Leave(made.uid)
		}
		w.mu.Unlock()
		_ = made.conn.Close()
		w.running.Done()
	}()
}

// count has a worker that is to end count as one of the person's connections until it has:
// a file system that does not answer may keep it from that, and so may the person, by a
// signal. w.mu is held.
func (w *Workers) count(idle *Worker) {
	select {
	case <-idle.ended:
	default:
		if !idle.leaving {
			idle.leaving = true
			w.Counts.stay(idle.uid)
		}
	}
}

// Leave is called once for each Join and each Find that gave a worker. The worker
// ends when nobody uses it and its SFTP sessions have ended.
func (w *Workers) Leave(left *Worker) {
	w.mu.Lock()
	left.connections--
	idle := left.connections == 0
	if idle && left.key == "" {
		w.count(left)
	}
	w.mu.Unlock()
	switch {
	case !idle:
	case left.key == "":
		_ = left.conn.Close()
	default:
		time.AfterFunc(linger, func() { w.retire(left) })
	}
}

// retire ends a shared worker that is still without users. Another may be in its
// place: a login that waited to make one, and one that came after this has
// forgotten whom it waited for, make one each.
func (w *Workers) retire(old *Worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old.connections > 0 {
		return
	}
	if w.shared[old.key] == old {
		delete(w.shared, old.key)
		delete(w.making, old.key)
	}
	w.count(old)
	_ = old.conn.Close() // it may have ended
}

// Wait closes what nobody uses and waits until all have ended, or so long.
func (w *Workers) Wait(most time.Duration) {
	w.mu.Lock()
	for _, idle := range w.shared {
		if idle.connections == 0 {
			_ = idle.conn.Close()
		}
	}
	w.mu.Unlock()
	done := make(chan struct{})
	go func() { w.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(most):
	}
}

// AccountAgain has PAM say whether the account is good for another login.
func (w *Worker) AccountAgain(remote string, tell Converse) error {
	return w.transaction.accountAgain(remote, tell)
}

// ReportStart waits for what a worker says of spec.Start, and reports it once if
// it is elsewhere.
func (w *Worker) ReportStart(report func(error)) {
	w.reported.Do(func() {
		buffer := make([]byte, 8<<10)
		message, err := w.conn.ReceiveMessage(buffer)
		if err != nil {
			return // it has ended
		}
		if problem := fields.NewReader(message).Text(); problem != "" {
			report(errors.New(problem))
		}
	})
}

// Connect has the worker serve another SFTP session and returns the front's end.
func (w *Worker) Connect() (fd int, err error) {
	ours, theirs, err := seqpacket.Pair()
	if err != nil {
		return -1, err
	}
	defer ours.Close()
	defer theirs.Close()
	select {
	case <-w.ended:
		return -1, errors.New("the worker has ended")
	default:
	}
	w.mu.Lock()
	err = w.conn.Send([]byte{messages.WorkerSession}, int(theirs.Fd()))
	w.mu.Unlock()
	if err != nil {
		return -1, err
	}
	return ours.Dup()
}
