package ledgersocket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
)

var (
	_ casledger.Inspector = Client{}
	_ casledger.Reminder  = Client{}
)

// Status implements [casledger.Inspector].
func (c Client) Status(ctx context.Context) (casledger.Status, error) {
	a := c.ask(ctx, question{kind: askStatus})
	return a.status, a.err
}

// Page implements [casledger.Inspector].
func (c Client) Page(ctx context.Context, after string) ([]casledger.Named, error) {
	a := c.ask(ctx, question{kind: askPage, key: after})
	return a.page, a.err
}

// Texts implements [casledger.Reminder]. Who remembers is at the other end.
func (c Client) Texts(ctx context.Context, beside string) (casledger.Texts, error) {
	a := c.ask(ctx, question{kind: askTexts, key: beside})
	return a.texts, a.err
}

var errCannotInspect = errors.New("it cannot look at the ledger as a whole")

// inspect answers a question that is about the whole ledger.
func inspect(ctx context.Context, registers casledger.Registers, q question) (a answer) {
	a.asked = q.kind
	if q.kind == askTexts {
		reminder, can := registers.(casledger.Reminder)
		if !can {
			return answer{asked: q.kind, err: errCannotInspect}
		}
		a.texts, a.err = reminder.Texts(ctx, q.key)
		return a
	}
	inspector, can := registers.(casledger.Inspector)
	switch {
	case !can:
		a.err = errCannotInspect
	case q.kind == askStatus:
		a.status, a.err = inspector.Status(ctx)
	default:
		a.page, a.err = inspector.Page(ctx, q.key)
	}
	return a
}

// pageMessage is a message with as many registers as fit; those that do not come at
// the next question. One that fits into no message is refused by itself: an empty page
// would say that nothing is left.
func pageMessage(page []casledger.Named) *fields.Writer {
	entries, count := new(fields.Writer), 0
	for _, one := range page {
		before := len(entries.Bytes)
		entries.Text(one.Key).U64(uint64(one.Revision)).Blob(one.Value)
		if len(entries.Bytes) > maxMessage-16 {
			if count == 0 {
				return fields.Message(answerRefused).Text(shortened(tooLarge(one.Key, one.Register)))
			}
			entries.Bytes = entries.Bytes[:before]
			break
		}
		count++
	}
	m := fields.Message(answerPage).U32(uint32(count))
	m.Bytes = append(m.Bytes, entries.Bytes...)
	return m
}

func parsePage(r *fields.Reader) (page []casledger.Named, err error) {
	for count := r.U32(); count > 0; count-- {
		one := casledger.Named{Key: r.Text(), Register: casledger.Register{Revision: int64(r.U64()), Value: r.Blob()}}
		if one.Revision == 0 {
			return nil, errProtocol // the end of the message is one too
		}
		page = append(page, one)
	}
	return page, nil
}

func statusMessage(s casledger.Status) *fields.Writer {
	m := fields.Message(answerStatus).Text(s.Prefix).Text(shortened(errors.New(s.Refused))).Bool(s.Unguarded)
	m.U32(uint32(s.Size)).U32(uint32(len(s.Members)))
	for _, one := range s.Members {
		m.Text(one.URL).Text(one.Version).Bool(one.Leader)
		m.U64(uint64(one.Bytes)).U64(uint64(one.InUse)).U64(uint64(one.Quota))
		m.Texts(one.Alarms).U64(seconds(one.Clock)).U64(seconds(one.Asked)).U64(seconds(one.Certificate)).Text(shortened(errors.New(one.Problem)))
	}
	return m
}

func parseStatus(r *fields.Reader) (s casledger.Status, err error) {
	s.Prefix, s.Refused, s.Unguarded, s.Size = r.Text(), r.Text(), r.Bool(), int(r.U32())
	for count := r.U32(); count > 0; count-- {
		one := casledger.Member{URL: r.Text(), Version: r.Text(), Leader: r.Bool()}
		if one.URL == "" {
			return casledger.Status{}, fmt.Errorf("%w: a member without an address", errProtocol)
		}
		one.Bytes, one.InUse, one.Quota = int64(r.U64()), int64(r.U64()), int64(r.U64())
		one.Alarms = r.Texts()
		one.Clock, one.Asked, one.Certificate = instant(r.U64()), instant(r.U64()), instant(r.U64())
		one.Problem = r.Text()
		s.Members = append(s.Members, one)
	}
	return s, nil
}

func seconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.Unix())
}

func instant(seconds uint64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}
