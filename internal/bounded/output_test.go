package bounded

import (
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

func TestOutput(t *testing.T) {
	for _, discard := range []bool{false, true} {
		o := &Output{Most: 5, Discard: discard}
		for _, text := range []string{"", "abc", "de"} {
			if n, err := o.Write([]byte(text)); n != len(text) || err != nil || o.Truncated() {
				t.Errorf("%q: %d, %v, over %v", text, n, err, o.Truncated())
			}
		}
		n, err := o.Write([]byte("f"))
		if (err == nil) != discard || (n == 1) != discard {
			t.Errorf("one more, passed over %v: %d, %v", discard, n, err)
		}
		if string(o.Bytes()) != "abcde" || !o.Truncated() {
			t.Errorf("kept %q, over %v", o.Bytes(), o.Truncated())
		}
	}
	half := &Output{Most: 5}
	if n, err := half.Write([]byte("abcdefg")); n != 5 || err == nil || string(half.Bytes()) != "abcde" {
		t.Errorf("%d, %v, kept %q", n, err, half.Bytes())
	}
	if _, whole := any(half).(io.ReaderFrom); whole {
		t.Error("it takes everything by ReadFrom")
	}
}

// A program that writes without end is ended by it.
func TestOutputOfAProgram(t *testing.T) {
	o := &Output{Most: 1000}
	cmd := exec.Command("yes")
	cmd.Stdout = o
	if err := cmd.Run(); err == nil || errors.Is(err, exec.ErrNotFound) {
		t.Errorf("expected it to be cut off, found %v", err)
	}
	if len(o.Bytes()) != 1000 || !o.Truncated() || strings.Trim(string(o.Bytes()), "y\n") != "" {
		t.Errorf("kept %d bytes, over %v", len(o.Bytes()), o.Truncated())
	}
}
