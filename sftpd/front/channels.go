package main

import (
	"context"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/workerfiles"
)

// maxChannels is as MaxSessions in sshd.
const maxChannels = 10

// activity is what a connection is doing, for timeouts and for draining.
type activity struct {
	now      func() time.Time
	mu       sync.Mutex
	channels int
	busy     int // sessions that are answering
	files    map[*session]int
	since    time.Time // nothing was asked, and no answer taken
}

// serveChannels serves a connection whose client is in until it ends.
func (c *connection) serveChannels(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	c.channels.files = map[*session]int{}
	c.channels.since = c.channels.now()
	c.copying = make(semaphore, 1)
	go c.answerGlobal(requests)
	go c.tellHostKeys(conn)
	ended := make(chan struct{})
	defer close(ended)
	go c.watch(conn, ended)
	var open sync.WaitGroup
	defer open.Wait()
	// What takes long within one request ends with the connection.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "only sessions for sftp") // the client is gone
			continue
		}
		if !c.channels.begin() {
			_ = offered.Reject(ssh.ResourceShortage, "too many sessions")
			continue
		}
		open.Go(func() {
			defer c.channels.end()
			c.serveChannel(ctx, offered)
		})
	}
}

func (a *activity) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.channels >= maxChannels {
		return false
	}
	a.channels++
	return true
}

func (a *activity) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.channels--
	a.since = a.now()
}

// refuse says no to what nobody here does, keepalives among it, which want an
// answer of any kind.
func refuse(requests <-chan *ssh.Request) {
	for request := range requests {
		if request.WantReply {
			_ = request.Reply(false, nil)
		}
	}
}

func (c *connection) serveChannel(ctx context.Context, offered ssh.NewChannel) {
	channel, requests, err := offered.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	for request := range requests {
		switch request.Type {
		case "subsystem":
			var name struct{ Name string }
			if ssh.Unmarshal(request.Payload, &name) != nil || name.Name != "sftp" {
				_ = request.Reply(false, nil)
				continue
			}
			worker, err := c.broker.session()
			_ = request.Reply(err == nil, nil)
			if err != nil {
				return
			}
			go refuse(requests)
			c.serveSFTP(ctx, channel, worker)
			return
		case "shell", "exec":
			_ = request.Reply(true, nil)
			go refuse(requests)
			// In the words that people know from OpenSSH.
			_, _ = io.WriteString(channel.Stderr(), "This service allows sftp connections only.\r\n")
			exit(channel, 1)
			return
		default:
			if request.WantReply {
				_ = request.Reply(false, nil)
			}
		}
	}
}

// exit tells the status, without which scp says that it failed.
func exit(channel ssh.Channel, status uint32) {
	_ = channel.CloseWrite()
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
}

// session is one SFTP session.
type session struct{ connection *connection }

func (c *connection) serveSFTP(ctx context.Context, channel ssh.Channel, worker *seqpacket.Conn) {
	defer worker.Close()
	s := &session{c}
	err := sftp.Serve(ctx, corking{channel, c.conn, &c.channels}, workerfiles.NewClient(worker), sftp.Options{
		LinkFirst: linkFirst(c.client), Opening: c.open.acquire, Closed: c.open.release, Audit: c.operations.add, Busy: s.busy, Limit: c.limit(), Copying: c.copying.acquire,
	})
	c.channels.forget(s)
	c.operations.flush()
	if err != nil {
		exit(channel, 1)
		return
	}
	exit(channel, 0)
}

// semaphore has the sessions of a connection copy within the server one after the
// other: a copy keeps a processor busy, and its client waits for nothing.
type semaphore chan struct{}

func (s semaphore) acquire(ctx context.Context) (release func(), err error) {
	select {
	case s <- struct{}{}:
		return func() { <-s }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// limit asks the broker, who knows of the person's other connections, how long
// to wait.
func (c *connection) limit() func(ctx context.Context, n int, upload bool) error {
	if c.settings.Bandwidth == 0 {
		return nil
	}
	return func(ctx context.Context, n int, upload bool) error {
		wait, err := c.broker.bytes(n, upload)
		if err != nil || wait <= 0 {
			return err
		}
		select {
		case <-time.After(wait):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// busy is told by the engine.
func (s *session) busy(busy bool, files int) {
	a := &s.connection.channels
	a.mu.Lock()
	defer a.mu.Unlock()
	if busy {
		a.busy++
	} else if a.busy > 0 {
		a.busy--
	}
	a.files[s] = files
	a.since = a.now()
}

func (a *activity) touch() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = a.now()
}

func (a *activity) forget(s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.files, s)
	a.since = a.now()
}

// quiet says whether no request is being answered and no file is open, and
// since when nothing was asked and no answer taken.
func (a *activity) quiet() (quiet bool, since time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, files := range a.files {
		if files > 0 {
			return false, a.since
		}
	}
	return a.busy == 0, a.since
}

// mayEnd says whether the connection has been idle for longer than idle by now, if
// that is not 0, or is to be drained and has nothing under way.
func (a *activity) mayEnd(now time.Time, idle time.Duration, draining bool) bool {
	quiet, since := a.quiet()
	return quiet && draining || idle > 0 && now.Sub(since) > idle
}

// corking sends what is written at once with as few system calls as it can.
type corking struct {
	ssh.Channel
	conn     *bufferedConn
	activity *activity
}

// Write implements io.Writer. On a slow line answers are taken long after all
// was asked.
func (c corking) Write(p []byte) (int, error) {
	if len(p) > sshBuffer {
		c.conn.cork()
		defer c.conn.uncork()
	}
	n, err := c.Channel.Write(p)
	if err == nil {
		c.activity.touch()
	}
	return n, err
}
