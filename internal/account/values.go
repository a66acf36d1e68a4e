package account

import (
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/otpgate/otpgate/internal/config"
)

// These read a value that the parser found, if it is plainly of their kind. They
// keep nothing of the parser's memory.

func text(value *unstable.Node) (string, bool) {
	return string(value.Data), value.Kind == unstable.String
}

func truth(value *unstable.Node) (yes, ok bool) {
	return string(value.Data) == "true", value.Kind == unstable.Bool
}

// number takes digits alone, and no more than an int of any size holds.
func number(value *unstable.Node) (n int, ok bool) {
	if value.Kind != unstable.Integer || len(value.Data) > 9 {
		return 0, false
	}
	for _, c := range value.Data {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

// moment takes the one form that otpctl writes, in which RFC 3339 and TOML are
// the same: any other of this length is refused by time.
func moment(value *unstable.Node) (t time.Time, ok bool) {
	if value.Kind != unstable.DateTime || len(value.Data) != len("2006-01-02T15:04:05Z") {
		return t, false
	}
	err := t.UnmarshalText(value.Data)
	return t, err == nil
}

func protocol(value *unstable.Node) (p config.Protocol, ok bool) {
	ok = value.Kind == unstable.String && p.UnmarshalText(value.Data) == nil
	return p, ok
}

// list reads an array of nothing but what element reads.
func list[T any](value *unstable.Node, element func(*unstable.Node) (T, bool)) (all []T, ok bool) {
	if value.Kind != unstable.Array {
		return nil, false
	}
	n := 0
	for it := value.Children(); it.Next(); {
		n++
	}
	all = make([]T, n)
	for it, i := value.Children(), 0; it.Next(); i++ {
		if all[i], ok = element(it.Node()); !ok {
			return nil, false
		}
	}
	return all, true
}

// texts reads an array of nothing but texts, which then lie in one piece of memory.
func texts(value *unstable.Node) (all []string, ok bool) {
	if value.Kind != unstable.Array {
		return nil, false
	}
	n, size := 0, 0
	for it := value.Children(); it.Next(); n++ {
		if it.Node().Kind != unstable.String {
			return nil, false
		}
		size += len(it.Node().Data)
	}
	var whole strings.Builder
	whole.Grow(size)
	for it := value.Children(); it.Next(); {
		whole.Write(it.Node().Data)
	}
	all = make([]string, n)
	rest := whole.String()
	for it, i := value.Children(), 0; it.Next(); i++ {
		length := len(it.Node().Data)
		all[i], rest = rest[:length], rest[length:]
	}
	return all, true
}

// optional gives what may be left out its pointer.
func optional[T any](given T, ok bool) (*T, bool) { return &given, ok }
