package main

import (
	"time"

	"golang.org/x/crypto/ssh"
)

// watch ends a connection that is idle, whose client does not answer, or that
// is to be drained and has nothing under way.
func (v *visit) watch(conn *ssh.ServerConn, over <-chan struct{}) {
	alive := v.askAlive(conn, over)
	tick := time.NewTicker(watchEvery(v.settings.Idle))
	defer tick.Stop()
	draining := v.front.draining
	for {
		select {
		case <-over:
			return
		case <-alive:
			_ = conn.Close()
			return
		case <-draining:
			draining = nil
			tick.Reset(50 * time.Millisecond)
		case <-tick.C:
		}
		quiet, since := v.channels.quiet()
		idle := v.settings.Idle > 0 && time.Since(since) > v.settings.Idle
		if quiet && draining == nil || idle {
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
func (v *visit) askAlive(conn *ssh.ServerConn, over <-chan struct{}) <-chan struct{} {
	dead := make(chan struct{})
	if v.settings.Keepalive <= 0 {
		return dead
	}
	go func() {
		tick := time.NewTicker(v.settings.Keepalive)
		defer tick.Stop()
		answered := make(chan error, 1)
		missed := 0
		waiting := false
		for {
			select {
			case <-over:
				return
			case <-answered:
				missed, waiting = 0, false
			case <-tick.C:
				if !waiting {
					waiting = true
					go func() {
						_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
						answered <- err
					}()
					continue
				}
				if missed++; missed >= 3 {
					close(dead)
					return
				}
			}
		}
	}()
	return dead
}
