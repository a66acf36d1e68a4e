package fields

import (
	"errors"
	"slices"
	"testing"
)

func whole() []byte {
	return Message(7).Bool(true).U32(1 << 31).U64(1 << 63).Text("alice").Blob([]byte{0, 1}).U32s([]uint32{3, 4}).Texts([]string{"", "é"}).Bytes
}

func read(message []byte) error {
	r := NewReader(message)
	r.U8()
	r.Bool()
	r.U32()
	r.U64()
	r.Text()
	r.Blob()
	r.U32s()
	r.Texts()
	return r.Done()
}

func TestFieldsComeBack(t *testing.T) {
	r := NewReader(whole())
	if r.U8() != 7 || !r.Bool() || r.U32() != 1<<31 || r.U64() != 1<<63 || r.Text() != "alice" || !slices.Equal(r.Blob(), []byte{0, 1}) {
		t.Error("single fields differ")
	}
	if !slices.Equal(r.U32s(), []uint32{3, 4}) || !slices.Equal(r.Texts(), []string{"", "é"}) {
		t.Error("lists differ")
	}
	if err := r.Done(); err != nil || r.More() {
		t.Errorf("the end: %v", err)
	}
}

// TestCutMessages: whatever is missing at the end, or too much, is told.
func TestCutMessages(t *testing.T) {
	message := whole()
	for n := range message {
		if err := read(message[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d of %d bytes: %v", n, len(message), err)
		}
	}
	if err := read(append(message, 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte more: %v", err)
	}
}

// TestCounts: a count that the message cannot hold sets nothing aside.
func TestCounts(t *testing.T) {
	huge := new(Writer).U32(1<<32 - 1).Bytes
	for name, take := range map[string]func(*Reader){
		"text": func(r *Reader) { r.Text() }, "numbers": func(r *Reader) { r.U32s() }, "texts": func(r *Reader) { r.Texts() },
	} {
		allocated := testing.AllocsPerRun(10, func() {
			r := NewReader(huge)
			take(r)
			if r.Done() == nil {
				t.Errorf("%s: taken", name)
			}
		})
		if allocated > 1 {
			t.Errorf("%s: %v allocations", name, allocated)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(whole())
	f.Add(new(Writer).U32(1<<32 - 1).Bytes)
	f.Fuzz(func(t *testing.T, message []byte) {
		if err := read(message); err != nil && !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
	})
}
