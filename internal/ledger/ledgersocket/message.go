package ledgersocket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
)

// A message is its length, four bytes in network order, and fields. The first byte
// of a question says which it is, that of an answer what became of it.
const (
	askGet    = 1
	askSwap   = 2
	askStatus = 3
	askPage   = 4
	askTexts  = 5

	answerDone        = 1
	answerNotSwapped  = 2
	answerUnavailable = 3
	answerRefused     = 4
	answerStatus      = 5
	answerPage        = 6
	answerTexts       = 7
)

// maxMessage has room for the largest entry, and for the longest text of an error.
const maxMessage = ledger.MaxPayload + 8<<10

// maxText bounds the text of an error.
const maxText = 4 << 10

var errProtocol = errors.New("it does not speak this protocol, or is of another version")

func write(w io.Writer, message *fields.Writer) error {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(message.Bytes)))
	_, err := w.Write(append(frame, message.Bytes...))
	return err
}

func read(r io.Reader) (*fields.Reader, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size > maxMessage {
		return nil, fmt.Errorf("%w: a message of %d bytes, expected at most %d", errProtocol, size, maxMessage)
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, err
	}
	return fields.NewReader(message), nil
}

// question is what a Registers is asked.
type question struct {
	kind     uint8
	key      string
	within   time.Duration
	revision int64
	value    []byte
	keep     time.Duration
}

func (q question) message() *fields.Writer {
	m := fields.Message(q.kind).Text(q.key).U64(uint64(q.within))
	if q.kind == askSwap {
		m.U64(uint64(q.revision)).Blob(q.value).U64(uint64(q.keep))
	}
	return m
}

func parseQuestion(r *fields.Reader) (question, error) {
	q := question{kind: r.U8(), key: r.Text(), within: time.Duration(r.U64())}
	if q.kind == askSwap {
		q.revision, q.value, q.keep = int64(r.U64()), r.Blob(), time.Duration(r.U64())
	}
	if err := r.Done(); err != nil {
		return question{}, err
	}
	if q.kind < askGet || q.kind > askTexts || q.within < 0 || q.keep < 0 {
		return question{}, errProtocol
	}
	return q, nil
}

// answer is what it says. swapped is true for a Get that went well too.
type answer struct {
	key     string // the question's
	swapped bool
	now     casledger.Register
	err     error
	// asked says which question about the whole ledger it is for, 0 if for another one.
	asked  uint8
	status casledger.Status
	page   []casledger.Named
	texts  casledger.Texts
}

func (a answer) message() *fields.Writer {
	switch {
	case errors.Is(a.err, casledger.ErrUnavailable):
		return fields.Message(answerUnavailable).Text(shortened(a.err))
	case a.err != nil:
		return fields.Message(answerRefused).Text(shortened(a.err))
	case a.asked == askStatus:
		return statusMessage(a.status)
	case a.asked == askPage:
		return pageMessage(a.page)
	case a.asked == askTexts:
		return fields.Message(answerTexts).Bool(a.texts.Any).Bool(a.texts.Beside)
	}
	kind := uint8(answerDone)
	if !a.swapped {
		kind = answerNotSwapped
	}
	return registerMessage(kind, a.key, a.now)
}

// registerMessage has one register in it. One that no message has room for is refused: no
// entry is as large, and to ask again would bring nothing else.
func registerMessage(kind uint8, key string, now casledger.Register) *fields.Writer {
	m := fields.Message(kind).U64(uint64(now.Revision)).Blob(now.Value)
	if len(m.Bytes) > maxMessage {
		return fields.Message(answerRefused).Text(shortened(tooLarge(key, now)))
	}
	return m
}

func tooLarge(key string, now casledger.Register) error {
	return fmt.Errorf("%w: a value of %d bytes at %q, expected at most %d", ledger.ErrDamaged, len(now.Value), key, ledger.MaxPayload)
}

func shortened(err error) string {
	text := err.Error()
	return text[:min(len(text), maxText)]
}

// parseAnswer reads the answer to a question of that kind. One to another question says
// nothing: of a key least of all that there is none.
func parseAnswer(r *fields.Reader, asked uint8) (a answer, err error) {
	kind := r.U8()
	whole := asked == askStatus && kind == answerStatus || asked == askPage && kind == answerPage || asked == askTexts && kind == answerTexts
	one := asked == askGet && kind == answerDone || asked == askSwap && (kind == answerDone || kind == answerNotSwapped)
	if !whole && !one && kind != answerUnavailable && kind != answerRefused {
		return answer{}, errProtocol
	}
	switch kind {
	case answerDone, answerNotSwapped:
		a.swapped = kind == answerDone
		a.now = casledger.Register{Revision: int64(r.U64()), Value: r.Blob()}
	case answerUnavailable:
		a.err = unavailable(r.Text())
	case answerRefused:
		a.err = errors.New(r.Text())
	case answerStatus:
		a.status, err = parseStatus(r)
	case answerPage:
		a.page, err = parsePage(r)
	case answerTexts:
		a.texts = casledger.Texts{Any: r.Bool(), Beside: r.Bool()}
	}
	if err != nil {
		return answer{}, err
	}
	return a, r.Done()
}

// unavailable is a casledger.ErrUnavailable that was said at the other end.
type unavailable string

func (u unavailable) Error() string        { return string(u) }
func (u unavailable) Is(target error) bool { return target == casledger.ErrUnavailable }
