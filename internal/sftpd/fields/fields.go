// Package fields puts numbers and strings together to messages and takes them
// apart, in the form of SSH (RFC 4251 section 5): what the processes of
// otpgate-sftpd send each other, what otpgate-ledgerd is asked, and the keys and
// certificates of clients.
//
// The entry points are [Message] and [NewReader]. It promises that a message that
// is cut, too long, or counts more than it holds is told by [Reader.Done], and
// has no more set aside for it than its bytes can fill.
package fields

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed says that a message has not the fields that it should have.
var ErrMalformed = errors.New("malformed message")

// Writer puts the fields of a message together. The zero value is empty.
type Writer struct{ Bytes []byte }

// Message begins one with the byte that says which it is.
func Message(kind uint8) *Writer { return new(Writer).U8(kind) }

// U8 adds a byte.
func (w *Writer) U8(v uint8) *Writer { w.Bytes = append(w.Bytes, v); return w }

// Bool adds a byte.
func (w *Writer) Bool(v bool) *Writer {
	if v {
		return w.U8(1)
	}
	return w.U8(0)
}

// U32 adds four bytes.
func (w *Writer) U32(v uint32) *Writer { w.Bytes = binary.BigEndian.AppendUint32(w.Bytes, v); return w }

// U64 adds eight bytes.
func (w *Writer) U64(v uint64) *Writer { w.Bytes = binary.BigEndian.AppendUint64(w.Bytes, v); return w }

// Text adds a length and the bytes.
func (w *Writer) Text(v string) *Writer {
	w.U32(uint32(len(v)))
	w.Bytes = append(w.Bytes, v...)
	return w
}

// Blob adds a length and the bytes.
func (w *Writer) Blob(v []byte) *Writer {
	w.U32(uint32(len(v)))
	w.Bytes = append(w.Bytes, v...)
	return w
}

// U32s adds a count and that many fields.
func (w *Writer) U32s(v []uint32) *Writer {
	w.U32(uint32(len(v)))
	for _, n := range v {
		w.U32(n)
	}
	return w
}

// Texts adds a count and that many fields.
func (w *Writer) Texts(v []string) *Writer {
	w.U32(uint32(len(v)))
	for _, text := range v {
		w.Text(text)
	}
	return w
}

// Reader takes a message apart. A field that is not there is its zero value,
// and Done tells.
type Reader struct {
	rest []byte
	bad  bool
}

// NewReader reads message.
func NewReader(message []byte) *Reader { return &Reader{rest: message} }

func (r *Reader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

// U8 takes a byte.
func (r *Reader) U8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Bool takes a byte that is 0 or 1.
func (r *Reader) Bool() bool {
	v := r.U8()
	r.bad = r.bad || v > 1
	return v == 1
}

// U32 takes four bytes.
func (r *Reader) U32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// U64 takes eight bytes.
func (r *Reader) U64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Blob takes a length and the bytes, which are part of the message.
func (r *Reader) Blob() []byte {
	n := r.U32()
	if r.bad || uint64(n) > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

// Text takes a length and the bytes.
func (r *Reader) Text() string { return string(r.Blob()) }

// count takes a number of fields that take at least size bytes each.
func (r *Reader) count(size int) int {
	n := r.U32()
	if r.bad || uint64(n)*uint64(size) > uint64(len(r.rest)) {
		r.bad = true
		return 0
	}
	return int(n)
}

// U32s takes a count and that many fields.
func (r *Reader) U32s() []uint32 {
	n := r.count(4)
	all := make([]uint32, n)
	for i := range all {
		all[i] = r.U32()
	}
	return all
}

// Texts takes a count and that many fields.
func (r *Reader) Texts() []string {
	n := r.count(4)
	all := make([]string, n)
	for i := range all {
		all[i] = r.Text()
	}
	return all
}

// More says whether there is something left to take.
func (r *Reader) More() bool { return !r.bad && len(r.rest) > 0 }

// Done says whether the message had all the fields that were taken, and no
// more.
func (r *Reader) Done() error {
	if r.bad || len(r.rest) > 0 {
		return ErrMalformed
	}
	return nil
}

// Then does what a message asks for that is whole, as Done says.
func (r *Reader) Then(do func() error) error {
	if err := r.Done(); err != nil {
		return err
	}
	return do()
}
