// Package wiretest has what tests of frames have in common.
//
// The entry points are [Frame], [Stream] and [WrittenAgain]. It promises to know a
// frame by itself: it takes nothing from the packages that it tests.
package wiretest

import (
	"bytes"
	"io"
	"reflect"
	"testing"
)

// Frame is a frame as it is sent.
func Frame[Type ~uint8](kind Type, payload string) string {
	return string([]byte{byte(kind), 0, byte(len(payload) >> 8), byte(len(payload))}) + payload
}

// Stream reads what is known before, and keeps what is written.
type Stream struct {
	io.Reader
	bytes.Buffer
}

// Read implements [io.Reader].
func (s *Stream) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// WrittenAgain fails t if data is read as something that is read as something else
// once it was written.
func WrittenAgain[Value any](t *testing.T, data []byte, read func(io.Reader) (Value, error), write func(io.Writer, Value) error) {
	t.Helper()
	value, err := read(bytes.NewReader(data))
	if err != nil {
		return
	}
	var again bytes.Buffer
	if err := write(&again, value); err != nil {
		t.Fatal(err)
	}
	if second, err := read(&again); err != nil || !reflect.DeepEqual(second, value) {
		t.Errorf("%+v became %+v, %v", value, second, err)
	}
}
