package remotewire

import (
	"encoding/binary"
	"time"
)

// clockSize is what a clock takes in a frame: milliseconds since 1970, in network order.
const clockSize = 8

// mostMilliseconds is far beyond every clock, and below what package time can count.
const mostMilliseconds = 1 << 48

func clockBytes(clock time.Time) []byte {
	if clock.IsZero() || clock.UnixMilli() < 0 {
		return make([]byte, clockSize)
	}
	return binary.BigEndian.AppendUint64(nil, uint64(clock.UnixMilli()))
}

// cutClock takes the clock off a payload.
func cutClock(payload []byte) (clock time.Time, rest []byte, err error) {
	if len(payload) < clockSize {
		return time.Time{}, nil, protocolError("taken frame without a clock")
	}
	number := binary.BigEndian.Uint64(payload)
	if number > mostMilliseconds {
		return time.Time{}, nil, protocolError("taken frame with a clock of another age")
	}
	if number > 0 {
		clock = time.UnixMilli(int64(number)).UTC()
	}
	return clock, payload[clockSize:], nil
}
