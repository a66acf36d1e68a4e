package target

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
)

// Listening is a TCP socket that takes connections.
type Listening struct {
	At netip.AddrPort
	// UID is whose socket it is.
	UID uint32
}

// Listening lists the machine's: see proc_net_tcp(5).
func (m *Machine) Listening() (all []Listening, err error) {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := Read(m.Root, table)
		if errors.Is(err, fs.ErrNotExist) && table != "/proc/net/tcp" {
			continue // there is no IPv6
		}
		if err != nil {
			return nil, err
		}
		first := true
		for line := range strings.Lines(string(text)) {
			if first {
				first = false // the headings
				continue
			}
			found, listens, err := listeningOf(strings.Fields(line))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", table, err)
			}
			if listens {
				all = append(all, found)
			}
		}
	}
	return all, nil
}

// listeningOf reads one line: its number, this end, the other end, the state, queues,
// timer, retransmissions, uid, and more.
func listeningOf(fields []string) (found Listening, listens bool, err error) {
	const local, state, uid, listening = 1, 3, 7, "0A"
	if len(fields) <= uid {
		return Listening{}, false, fmt.Errorf("a line of %d fields", len(fields))
	}
	if fields[state] != listening {
		return Listening{}, false, nil
	}
	host, port, _ := strings.Cut(fields[local], ":")
	raw, err := hex.DecodeString(host)
	if err != nil {
		return Listening{}, false, err
	}
	// Each four bytes are in the order of the processor.
	for at := 0; at+4 <= len(raw); at += 4 {
		binary.BigEndian.PutUint32(raw[at:], binary.NativeEndian.Uint32(raw[at:]))
	}
	address, ok := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	owner, err2 := strconv.ParseUint(fields[uid], 10, 32)
	if err := errors.Join(err, err2); err != nil || !ok {
		return Listening{}, false, fmt.Errorf("%q: %w", fields[local], err)
	}
	return Listening{netip.AddrPortFrom(address, uint16(number)), uint32(owner)}, true, nil
}
