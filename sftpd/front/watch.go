package main

import (
	"time"

	"golang.org/x/crypto/ssh"
)

// watch ends a connection that is idle, whose client does not answer, or that
// is to be drained and has nothing under way.
func (c *connection) watch(conn *ssh.ServerConn, ended <-chan struct{}) {
	alive := c.askAlive(conn, ended)
	tick := time.NewTicker(watchEvery(c.settings.Idle))
	defer tick.Stop()
	draining := c.front.draining
	for {
		select {
		case <-ended:
			return
		case <-alive:
			_ = conn.Close()
			return
		case <-draining:
			draining = nil
			tick.Reset(50 * time.Millisecond)
		case <-tick.C:
		}
		if c.channels.mayEnd(c.channels.now(), c.settings.Idle, draining == nil) {
			_ = conn.Close()
			return
		}
	}
}

func watchEvery(idle time.Duration) time.Duration {
	if idle <= 0 {
		return time.Hour
	}
	return max(idle/4, 100*time.Millisecond)
}

// askAlive asks the client now and then whether it is there, and closes the
// result when it is not.
func (c *connection) askAlive(conn *ssh.ServerConn, ended <-chan struct{}) <-chan struct{} {
	dead := make(chan struct{})
	if c.settings.Keepalive <= 0 {
		return dead
	}
	go func() {
		tick := time.NewTicker(c.settings.Keepalive)
		defer tick.Stop()
		if c.keepAlive(conn, ended, tick.C) {
			close(dead)
		}
	}()
	return dead
}

// asker is what a client can be asked by.
type asker interface {
	SendRequest(name string, wantReply bool, payload []byte) (bool, []byte, error)
}

// maxMissed is how many ticks may pass after a question without a sign of life.
const maxMissed = 3

// keepAlive says true when nothing comes from the client any more. Whatever
// comes is a sign that it is there: some clients never answer such a question,
// and ask for files all the time.
func (c *connection) keepAlive(conn asker, ended <-chan struct{}, ticks <-chan time.Time) bool {
	answered := make(chan error, 1)
	missed := 0
	waiting := false
	received := c.conn.received.Load()
	for {
		select {
		case <-ended:
			return false
		case <-answered:
			missed, waiting = 0, false
		case <-ticks:
			if now := c.conn.received.Load(); now != received {
				received, missed = now, 0
				if waiting {
					continue
				}
			}
			if !waiting {
				waiting = true
				go func() {
					_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
					answered <- err
				}()
				continue
			}
			if missed++; missed >= maxMissed {
				return true
			}
		}
	}
}
