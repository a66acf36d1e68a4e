package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// turnAway counts a connection that comes to no login, and writes a line of it.
// Anybody can cause as many as they like.
func (b *broker) turnAway(service string, remote netip.Addr, why admission.Refusal) {
	b.metrics.turnedAway(why.Rule)
	b.limitedLog.Write(why.Record(service, remote))
}

// What a front says of a key exchange is bounded, so that both offers fit into
// a line.
const (
	maxOffer  = 200
	maxClient = 60
)

// unmatched writes the line of a connection for which client and server have no
// algorithm in common. Which list it was, and the client's part of it, is the
// front's word; the server's own is not.
func (c *connection) unmatched(r *fields.Reader) error {
	list, client, theirs := r.U8(), r.Text(), r.Text()
	if err := r.Done(); err != nil {
		return err
	}
	what, ours := c.offers(list)
	if what == "" {
		return fields.ErrMalformed
	}
	// What follows a space is a comment (RFC 4253 section 4.2).
	client, _, _ = strings.Cut(client, " ")
	if client = plain(client, maxClient); client == "" {
		client = "without an identification"
	}
	c.broker.turnAway(c.settings.PAMService, c.remote, admission.Refusal{Rule: admission.ByKeyExchange,
		Reason: fmt.Sprintf("no common %s: the client (%s) offers %s, the server %s", what, client, names(theirs), strings.Join(ours, ","))})
	return errTurnedAway
}

// offers is what the server offers in a list of the key exchange, and the
// list's name.
func (c *connection) offers(list uint8) (what string, ours []string) {
	switch list {
	case messages.ListKeyExchange:
		return "key exchange", algorithms.KeyExchanges()
	case messages.ListHostKey:
		for _, key := range c.keys {
			ours = append(ours, algorithms.HostKeySignatures(key.signer.PublicKey().Type())...)
		}
		return "host key", ours
	case messages.ListCipher:
		return "cipher", algorithms.Ciphers()
	case messages.ListMAC:
		return "MAC", algorithms.MACs()
	case messages.ListCompression:
		return "compression", []string{"none"}
	}
	return "", nil
}

// names cuts a list of algorithms behind one of them.
func names(list string) string {
	text := plain(list, maxOffer)
	if text == "" {
		return "nothing"
	}
	if len(list) <= maxOffer {
		return text
	}
	if last := strings.LastIndexByte(text, ','); last >= 0 {
		text = text[:last]
	}
	return text + ",…"
}

// plain is the beginning of a text, with a question mark for each byte that no
// name of an algorithm has (RFC 4251 section 6).
func plain(text string, most int) string {
	kept := []byte(text[:min(len(text), most)])
	for i, c := range kept {
		if c <= ' ' || c > '~' {
			kept[i] = '?'
		}
	}
	return string(kept)
}
