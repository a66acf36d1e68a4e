package account

import (
	"strings"
	"testing"
)

// A hash has its 64 digits, and nothing else anywhere.
func TestIsHash(t *testing.T) {
	const digits = "0123456789abcdef"
	good := strings.Repeat(digits, 4)
	for c := range 256 {
		for _, at := range []int{0, 31, 63} {
			text := good[:at] + string([]byte{byte(c)}) + good[at+1:]
			if want := strings.IndexByte(digits, byte(c)) >= 0; isHash(text) != want {
				t.Errorf("%q: %v", text, !want)
			}
		}
	}
	for _, text := range []string{"", good[1:], good + "0"} {
		if isHash(text) {
			t.Errorf("%q is taken", text)
		}
	}
}
