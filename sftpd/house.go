package main

import (
	"fmt"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// startsElsewhere is for somebody who is in and begins where it would be without
// the setting.
func (c *connection) startsElsewhere(err error) {
	c.broker.reportFor(c, "sftp.start_directory", fmt.Errorf("%w; paths begin in the home directory, or in / if that cannot be entered either", err))
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
