package remotewire

import (
	"encoding/binary"
	"io"
	"strings"

	"github.com/otpgate/otpgate/internal/wire"
)

// Program says whose program asks on the client, as the kernel there says. The zero
// value may do least.
type Program uint8

// The programs.
const (
	OwnProgram     Program = 0 // an ordinary user's, who asks for nobody else
	AllowedProgram Program = 1 // of a user in verifier.allow
	RootProgram    Program = 2
)

// Begin opens the dialogue of a login that was taken.
type Begin struct {
	// Start is what the client's front sent. What is of no use elsewhere is left
	// out: the arguments config= and debug, PAM_RUSER, and Rule, as a server always
	// says the rule.
	Start wire.Start
	// Names are what the client's system calls the person: its own spelling of
	// the name first, and then the others that the uid has. There are none if it
	// does not know the name.
	Names []string
	// Program says whose program asks.
	Program Program
}

// The fields of a Begin: one tag byte, two length bytes in network order, and the
// value. A name may come often, the others once.
const (
	tagStart   = 1
	tagName    = 2
	tagProgram = 3
)

// MaxNames is how many names of one uid go along.
const MaxNames = 16

const (
	maxName  = 255
	maxStart = 8 << 10 // above what package wire lets a Start have
	maxBegin = 3 + maxStart + MaxNames*(3+maxName) + 3 + 1
)

// WriteBegin writes a Begin.
func WriteBegin(w io.Writer, b Begin) error {
	start, err := b.Start.Payload()
	if err != nil {
		return err
	}
	if len(start) > maxStart || len(b.Names) > MaxNames {
		return protocolError("begin frame with %d bytes and %d names, at most %d and %d are allowed", len(start), len(b.Names), maxStart, MaxNames)
	}
	payload := field(nil, tagStart, string(start))
	for _, name := range b.Names {
		if name == "" || len(name) > maxName {
			return protocolError("a name of %d bytes, expected 1 to %d", len(name), maxName)
		}
		payload = field(payload, tagName, name)
	}
	return wire.WriteFrame(w, TypeBegin, field(payload, tagProgram, string([]byte{byte(b.Program)})))
}

func field(to []byte, tag byte, value string) []byte {
	to = binary.BigEndian.AppendUint16(append(to, tag), uint16(len(value)))
	return append(to, value...)
}

// ReadBegin reads a Begin.
func ReadBegin(r io.Reader) (Begin, error) {
	_, payload, err := wire.ReadFrame(r, maxBegin, TypeBegin)
	if err != nil {
		return Begin{}, err
	}
	var begin Begin
	var seen [tagProgram + 1]bool
	for rest := payload; len(rest) > 0; {
		if len(rest) < 3 || int(binary.BigEndian.Uint16(rest[1:])) > len(rest)-3 {
			return Begin{}, protocolError("begin frame ends within a field")
		}
		tag, size := rest[0], int(binary.BigEndian.Uint16(rest[1:]))
		if tag < tagStart || tag > tagProgram || seen[tag] && tag != tagName {
			return Begin{}, protocolError("begin field %d is unknown or repeated", tag)
		}
		seen[tag] = true
		if err := begin.set(tag, rest[3:3+size]); err != nil {
			return Begin{}, err
		}
		rest = rest[3+size:]
	}
	if !seen[tagStart] || !seen[tagProgram] {
		return Begin{}, protocolError("begin frame without a start or without whose program asks")
	}
	return begin, nil
}

func (b *Begin) set(tag byte, value []byte) (err error) {
	switch tag {
	case tagStart:
		b.Start, err = wire.ParseStart(value)
		return err
	case tagName:
		if len(value) == 0 || len(value) > maxName || len(b.Names) == MaxNames || strings.IndexByte(string(value), 0) >= 0 {
			return protocolError("begin field %d is no name, or one too many", tag)
		}
		b.Names = append(b.Names, string(value))
		return nil
	}
	if len(value) != 1 || Program(value[0]) > RootProgram {
		return protocolError("begin field %d says nothing known", tag)
	}
	b.Program = Program(value[0])
	return nil
}
