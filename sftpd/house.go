package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"sync"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// house counts the connections of the people who are in. They are told apart by
// their ids here and wherever they share something: some name services know a
// person by many spellings of the name.
type house struct {
	mu sync.Mutex
	of map[uint32]int
}

// enter says whether there is room; most is 0 for any number.
func (h *house) enter(uid uint32, most int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if most > 0 && h.of[uid] >= most {
		return false
	}
	if h.of == nil {
		h.of = map[uint32]int{}
	}
	h.of[uid]++
	return true
}

func (h *house) leave(uid uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[uid]--; h.of[uid] <= 0 {
		delete(h.of, uid)
	}
}

// spec is what the person's worker is to be.
func (c *connection) spec() (messages.Spec, error) {
	s := messages.Spec{User: c.user, UID: c.person.uid, GID: c.person.gid, Groups: c.person.groups, Home: c.person.home, Umask: math.MaxUint32,
		ReadOnly: c.settings.ReadOnly, AllowRoot: c.settings.AllowRoot, Deny: c.settings.Deny.Texts()}
	if c.settings.Umask.Set {
		s.Umask = c.settings.Umask.Mask
	}
	if c.settings.Root == "" {
		s.Start = config.Expand(c.settings.StartDirectory, c.user, s.Home)
		return s, nil
	}
	s.Root = filepath.Clean(config.Expand(c.settings.Root, c.user, c.person.home))
	// As in sshd: whoever can write the root, or above it, can leave it.
	dir, err := safefile.OpenDir(s.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("sftp.root: %w; make it with install -d -m 755 %s, see docs/sftpd.md", err, s.Root)
	}
	if err != nil {
		return s, fmt.Errorf("sftp.root: %w", err)
	}
	defer dir.Close()
	if err := checkJail(s.Root); err != nil {
		return s, err
	}
	s.Home = homeBelow(s.Root, c.person.home)
	s.Start = config.Expand(c.settings.StartDirectory, c.user, s.Home)
	return s, nil
}

// startsElsewhere is for somebody who is in and begins where it would be without
// the setting.
func (c *connection) startsElsewhere(err error) {
	c.broker.reportFor(c, "sftp.start_directory", fmt.Errorf("%w; paths begin in the home directory, or in / if that cannot be entered either", err))
}

// homeBelow is the home directory as seen below root.
func homeBelow(root, home string) string {
	if home == root {
		return "/"
	}
	if inside, found := strings.CutPrefix(home, root+"/"); found {
		return "/" + inside
	}
	return home
}

// reportFor is for what goes wrong of a connection. Until somebody is in,
// strangers can cause it as often as they like.
func (b *broker) reportFor(v *connection, rule string, err error) {
	record := audit.Record{User: v.user, Service: v.settings.PAMService, Protocol: "sftp", Remote: v.remote.String(), Verdict: "fault", Rule: rule, Reason: err.Error()}
	if v.in {
		b.log.Write(record)
		return
	}
	b.metrics.verdict(record)
	b.limitedLog.Write(record)
}

// note writes a line about a transfer or a change. Who it was is the broker's
// word, what it was the front's.
func (c *connection) note(r *seqpacket.Reader) error {
	event := audit.Event{User: c.user, Service: c.settings.PAMService, Remote: c.remote.String(),
		Op: r.Text(), Path: r.Text(), Target: r.Text(), Read: r.U64(), Written: r.U64(), Problem: r.Text()}
	if err := r.Done(); err != nil {
		return err
	}
	c.broker.log.Event(event)
	return nil
}
