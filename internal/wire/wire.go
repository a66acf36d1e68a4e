// Package wire speaks the frames between the PAM front (pam_module/front, C)
// and whoever runs the engine for it: the forked core over a socketpair, or the
// verifier over its socket.
//
// A frame is one type byte, the payload's length as three bytes in network
// order, and the payload, at most [MaxPayload] bytes. The front opens with one
// Start frame. The engine answers with Prompt frames, each asking one (styles
// EchoOff and EchoOn, answered by exactly one Reply frame) or only telling
// (Info and Failure, never answered), and ends with one Verdict frame. To a
// Start that says Split the prompts are of the style Tail, each answered by the
// front itself. Ahead of the verdict a Start that says Rule gets a Rule frame, as
// package remotewire has it. Anything else is a protocol error, and a protocol error
// denies.
//
// The entry points are [ReadStart] and [Peer]. The package promises that
// parsing never allocates more than MaxPayload, never accepts a field twice
// and never accepts an unknown type, tag or status.
//
// pam_module/front/wire.h holds the same numbers for C; a test compares them.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Ready is the byte that whoever takes a login sends before all frames. Until
// a front has it, it may turn to somebody else.
const Ready = 0x4c

// Version is the first byte of a Start payload. A front and an engine of
// different versions deny instead of guessing.
const Version = 1

// MaxPayload bounds one frame's payload in bytes; a QR code in half blocks
// with its key fits in.
const MaxPayload = 16 << 10

// Type says what a frame is.
type Type uint8

// The frame types. The front sends those below 0x10, the engine the others.
const (
	TypeStart   Type = 0x01
	TypeReply   Type = 0x02
	TypePrompt  Type = 0x10
	TypeVerdict Type = 0x11
)

// ErrProtocol is wrapped by every error about bytes that are no valid frame.
var ErrProtocol = errors.New("wire protocol")

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

const headerSize = 4

// readFrame reads one whole frame of any type that fronts and engines send.
func readFrame(r io.Reader, most int) (Type, []byte, error) {
	return ReadFrame(r, most, TypeStart, TypeReply, TypePrompt, TypeVerdict)
}

// ReadFrame reads one whole frame of one of these types, with a payload of at
// most so many bytes: what somebody sends slowly is held meanwhile.
func ReadFrame(r io.Reader, most int, known ...Type) (Type, []byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, fmt.Errorf("read frame header: %w", err)
	}
	kind := Type(header[0])
	if !slices.Contains(known, kind) {
		return 0, nil, protocolError("unknown frame type 0x%02x", header[0])
	}
	header[0] = 0
	size := binary.BigEndian.Uint32(header[:])
	if size > uint32(most) {
		return 0, nil, protocolError("payload of %d bytes, at most %d are allowed", size, most)
	}
	payload, err := readPayload(r, int(size))
	if err != nil {
		return 0, nil, fmt.Errorf("read frame payload: %w", err)
	}
	return kind, payload, nil
}

func readPayload(r io.Reader, size int) ([]byte, error) {
	// What is taken before any of it is there: most have fewer bytes. Who
	// announces much and sends nothing takes no more.
	const atOnce = 512
	payload := make([]byte, min(size, atOnce))
	for read := 0; ; {
		n, err := io.ReadFull(r, payload[read:])
		if read += n; err != nil || read == size {
			return payload, err
		}
		payload = append(payload, make([]byte, min(size-read, read))...)
	}
}

// WriteFrame writes one frame in a single Write, so that a reader never waits
// between header and payload.
func WriteFrame(w io.Writer, kind Type, payload ...[]byte) error {
	size := 0
	for _, part := range payload {
		size += len(part)
	}
	if size > MaxPayload {
		return protocolError("payload of %d bytes, at most %d are allowed", size, MaxPayload)
	}
	frame := make([]byte, headerSize, headerSize+size)
	binary.BigEndian.PutUint32(frame, uint32(size))
	frame[0] = byte(kind)
	for _, part := range payload {
		frame = append(frame, part...)
	}
	if _, err := w.Write(frame); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}
