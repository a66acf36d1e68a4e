package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// A record file is two slots of the same size and nothing else. Every write
// goes to the slot that does not hold the newest entry, so that one torn by a
// crash costs only the entry that was being written. A slot is
//
//	 0  magic "otpledg\n"
//	 8  format version, 16 bits, big-endian like all that follow
//	10  flags, 16 bits
//	12  length of the payload, 32 bits
//	16  sequence number, 64 bits; the slot's place is its lowest bit
//	24  zero, 8 bytes
//	32  SHA-256 of the 32 bytes above and the payload
//	64  payload: the encoded entry, see entry.go
//
// A later version must keep the magic, length and checksum where they are.
const (
	magic         = "otpledg\n"
	formatVersion = 1
	flagNamed     = 1
	headerSize    = 64

	// minSlot is the page and block size of the file systems in use: what
	// is torn in one slot leaves the other alone.
	minSlot = 4096
	// maxSlot bounds what one key can make a login read and write. An entry
	// with ten factors and fifty spent recovery codes needs a tenth of it.
	maxSlot = 64 << 10
)

// ErrDamaged is wrapped by errors about a record file whose contents cannot be
// relied on. It is never taken for a key that was not used yet.
var ErrDamaged = errors.New("damaged ledger file")

type slot struct {
	sequence uint64
	// named says that the file's name, too, was on disk before this was
	// written. Until then an entry could vanish together with its file.
	named   bool
	payload []byte
}

// encode gives the slot's bytes, filled up to whole pages so that the kernel
// need not read what it overwrites.
func (s slot) encode() []byte {
	used := headerSize + len(s.payload)
	b := make([]byte, (used+minSlot-1)/minSlot*minSlot)
	copy(b, magic)
	binary.BigEndian.PutUint16(b[8:], formatVersion)
	if s.named {
		binary.BigEndian.PutUint16(b[10:], flagNamed)
	}
	binary.BigEndian.PutUint32(b[12:], uint32(len(s.payload)))
	binary.BigEndian.PutUint64(b[16:], s.sequence)
	copy(b[headerSize:], s.payload)
	sum := checksum(b[:used])
	copy(b[32:], sum[:])
	return b
}

func checksum(b []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(b[:32])
	h.Write(b[headerSize:])
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

// errVersion is apart from other damage because a slot of another version must
// not be passed over for the older one beside it.
var errVersion = errors.New("unknown format version")

func parseSlot(b []byte) (slot, error) {
	if len(b) < headerSize || string(b[:8]) != magic {
		return slot{}, errors.New("no ledger slot")
	}
	length := binary.BigEndian.Uint32(b[12:])
	if uint64(length) > uint64(len(b)-headerSize) {
		return slot{}, errors.New("length beyond the slot")
	}
	b = b[:headerSize+int(length)]
	if sum := checksum(b); !bytes.Equal(sum[:], b[32:headerSize]) {
		return slot{}, errors.New("wrong checksum")
	}
	if v := binary.BigEndian.Uint16(b[8:]); v != formatVersion {
		return slot{}, fmt.Errorf("%w %d, expected %d", errVersion, v, formatVersion)
	}
	return slot{
		sequence: binary.BigEndian.Uint64(b[16:]),
		named:    binary.BigEndian.Uint16(b[10:])&flagNamed != 0,
		payload:  b[headerSize:],
	}, nil
}

// record is what a record file holds.
type record struct {
	slotSize int64
	current  slot
	// previous is the entry before; nil if a crash tore that slot.
	previous *slot
}

// parseRecord reads a whole file.
func parseRecord(data []byte) (record, error) {
	size := len(data) / 2
	if !validSlotSize(size) || len(data) != 2*size {
		return record{}, fmt.Errorf("%w: %d bytes long, expected two equal slots", ErrDamaged, len(data))
	}
	slots, errs := [2]slot{}, [2]error{}
	for i := range slots {
		slots[i], errs[i] = parseSlot(data[i*size : (i+1)*size])
		if errs[i] == nil && slots[i].sequence%2 != uint64(i) {
			errs[i] = fmt.Errorf("sequence number %d out of place", slots[i].sequence)
		}
	}
	rec := record{slotSize: int64(size)}
	switch newer := slots[0].sequence < slots[1].sequence; {
	case errors.Is(errs[0], errVersion), errors.Is(errs[1], errVersion), errs[0] != nil && errs[1] != nil:
		return record{}, fmt.Errorf("%w: slot 0: %w; slot 1: %w", ErrDamaged, orFine(errs[0]), orFine(errs[1]))
	case errs[1] != nil:
		rec.current = slots[0]
	case errs[0] != nil:
		rec.current = slots[1]
	case newer:
		rec.current, rec.previous = slots[1], &slots[0]
	default:
		rec.current, rec.previous = slots[0], &slots[1]
	}
	if rec.previous != nil && rec.current.sequence-rec.previous.sequence != 1 {
		return record{}, fmt.Errorf("%w: sequence numbers %d and %d do not follow each other",
			ErrDamaged, rec.previous.sequence, rec.current.sequence)
	}
	return rec, nil
}

var errFine = errors.New("fine")

func orFine(err error) error {
	if err == nil {
		return errFine
	}
	return err
}

func validSlotSize(size int) bool {
	return size >= minSlot && size <= maxSlot && size&(size-1) == 0
}

// slotSizeFor gives the smallest slot that holds a payload.
func slotSizeFor(payload int) (int64, error) {
	for size := minSlot; size <= maxSlot; size *= 2 {
		if headerSize+payload <= size {
			return int64(size), nil
		}
	}
	return 0, tooLarge(payload)
}

// offset says where in the file the slot with this number is.
func (r record) offset(sequence uint64) int64 {
	return int64(sequence%2) * r.slotSize
}

// newFile gives the contents of a new record file. It holds the entry twice:
// what was known before, never yet what is about to be written.
func newFile(sequence uint64, payload []byte, slotSize int64) []byte {
	data := make([]byte, 2*slotSize)
	for _, n := range []uint64{sequence - 1, sequence} {
		copy(data[int64(n%2)*slotSize:], slot{sequence: n, payload: payload}.encode())
	}
	return data
}
