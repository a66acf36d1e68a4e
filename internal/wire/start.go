package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"strconv"
	"time"
)

// Start is the front's opening frame: the PAM items of the login and the
// module's arguments from pam.d. Items that the host did not set are empty.
type Start struct {
	User       string        // PAM_USER
	Service    string        // PAM_SERVICE
	RemoteHost string        // PAM_RHOST: an address or, from some hosts, a name
	RemoteUser string        // PAM_RUSER
	TTY        string        // PAM_TTY
	Protocol   string        // argument protocol=
	Config     string        // argument config=
	Debug      bool          // argument debug
	Timeout    time.Duration // argument timeout=: for the whole dialogue, in whole seconds
	Split      bool          // argument split: asks only whether a code is to be taken off the password
	AfterSplit bool          // such a line came before this one in the same login
	CodeBehind bool          // and took a code off the password, which answers the first prompt
	Unproven   bool          // what came before is somebody's word alone: the code is all there is
	Rule       bool          // the front reads the rule that decided ahead of the verdict
}

type tag uint8

const (
	tagUser       tag = 1
	tagService    tag = 2
	tagRemoteHost tag = 3
	tagRemoteUser tag = 4
	tagTTY        tag = 5
	tagProtocol   tag = 6
	tagConfig     tag = 7
	tagDebug      tag = 8
	tagTimeout    tag = 9
	tagSplit      tag = 10
	tagAfterSplit tag = 11
	tagCodeBehind tag = 12
	tagUnproven   tag = 13
	tagRule       tag = 14
)

// MaxTimeout is the longest dialogue a front may ask for.
const MaxTimeout = 10 * time.Minute

// What the fields of an opening frame have at most, as pam_module/front/items.c
// puts them, and so the frame: the engine keeps them for as long as a person
// types, and whoever is at the socket could send what is never used. The three are
// the digits of a timeout.
const (
	maxName, maxHost, maxConfig = 255, 1024, 4096
	maxStart                    = 1 + 14*3 + 5*maxName + maxHost + maxConfig + 3
)

// longest is how long a field's value may be.
func (t tag) longest() int {
	switch t {
	case tagConfig:
		return maxConfig
	case tagRemoteHost:
		return maxHost
	}
	return maxName
}

// ReadStart reads and parses the opening frame.
func ReadStart(r io.Reader) (Start, error) {
	kind, payload, err := readFrame(r, maxStart)
	if err != nil {
		return Start{}, err
	}
	if kind != TypeStart {
		return Start{}, protocolError("frame type 0x%02x where start was expected", uint8(kind))
	}
	return ParseStart(payload)
}

// ParseStart reads the payload of an opening frame: the version byte and then fields of one tag byte, two
// length bytes in network order, and the value.
func ParseStart(payload []byte) (Start, error) {
	if len(payload) == 0 || payload[0] != Version {
		return Start{}, protocolError("start frame is not of version %d", Version)
	}
	var start Start
	var seen [tagRule + 1]bool
	for rest := payload[1:]; len(rest) > 0; {
		if len(rest) < 3 {
			return Start{}, protocolError("start frame ends within a field")
		}
		field, size := tag(rest[0]), int(binary.BigEndian.Uint16(rest[1:]))
		rest = rest[3:]
		if size > len(rest) {
			return Start{}, protocolError("start field %d ends past the frame", field)
		}
		if field == 0 || field > tagRule || seen[field] {
			return Start{}, protocolError("start field %d is unknown or repeated", field)
		}
		if size > field.longest() {
			return Start{}, protocolError("start field %d has %d bytes, at most %d are allowed", field, size, field.longest())
		}
		seen[field] = true
		if err := start.set(field, rest[:size]); err != nil {
			return Start{}, err
		}
		rest = rest[size:]
	}
	return start, nil
}

func (s *Start) set(field tag, value []byte) error {
	if bytes.IndexByte(value, 0) >= 0 {
		return protocolError("start field %d holds a NUL byte", field)
	}
	switch field {
	case tagUser:
		s.User = string(value)
	case tagService:
		s.Service = string(value)
	case tagRemoteHost:
		s.RemoteHost = string(value)
	case tagRemoteUser:
		s.RemoteUser = string(value)
	case tagTTY:
		s.TTY = string(value)
	case tagProtocol:
		s.Protocol = string(value)
	case tagConfig:
		s.Config = string(value)
	case tagDebug:
		return flag(&s.Debug, field, value)
	case tagSplit:
		return flag(&s.Split, field, value)
	case tagAfterSplit:
		return flag(&s.AfterSplit, field, value)
	case tagCodeBehind:
		return flag(&s.CodeBehind, field, value)
	case tagUnproven:
		return flag(&s.Unproven, field, value)
	case tagRule:
		return flag(&s.Rule, field, value)
	case tagTimeout:
		seconds, err := strconv.ParseUint(string(value), 10, 16)
		if err != nil || seconds == 0 || time.Duration(seconds)*time.Second > MaxTimeout {
			return protocolError("start field timeout is not 1 to %d seconds", int(MaxTimeout/time.Second))
		}
		s.Timeout = time.Duration(seconds) * time.Second
	}
	return nil
}

// flag sets a field that says all by being there.
func flag(to *bool, field tag, value []byte) error {
	if len(value) != 0 {
		return protocolError("start field %d has a value", field)
	}
	*to = true
	return nil
}

// WriteStart writes the opening frame; empty fields are left out.
func WriteStart(w io.Writer, s Start) error {
	payload, err := s.Payload()
	if err != nil {
		return err
	}
	return WriteFrame(w, TypeStart, payload)
}

// Payload is what the opening frame holds.
func (s Start) Payload() ([]byte, error) {
	payload := []byte{Version}
	add := func(field tag, value string) {
		payload = append(payload, byte(field))
		payload = binary.BigEndian.AppendUint16(payload, uint16(len(value)))
		payload = append(payload, value...)
	}
	for _, item := range []struct {
		field tag
		value string
	}{
		{tagUser, s.User}, {tagService, s.Service}, {tagRemoteHost, s.RemoteHost}, {tagRemoteUser, s.RemoteUser},
		{tagTTY, s.TTY}, {tagProtocol, s.Protocol}, {tagConfig, s.Config},
	} {
		if len(item.value) > MaxPayload {
			return nil, protocolError("start field %d is over %d bytes", item.field, MaxPayload)
		}
		if item.value != "" {
			add(item.field, item.value)
		}
	}
	if s.Timeout > 0 {
		add(tagTimeout, strconv.Itoa(int(s.Timeout/time.Second)))
	}
	for _, item := range []struct {
		field tag
		set   bool
	}{{tagDebug, s.Debug}, {tagSplit, s.Split}, {tagAfterSplit, s.AfterSplit}, {tagCodeBehind, s.CodeBehind}, {tagUnproven, s.Unproven}, {tagRule, s.Rule}} {
		if item.set {
			add(item.field, "")
		}
	}
	return payload, nil
}
