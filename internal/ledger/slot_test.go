package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// written gives a file whose newest entry is number 7, and the slot that
// comes next.
func written(t *testing.T, slotSize int64) (data, next []byte, offset int64) {
	t.Helper()
	data = newFile(6, []byte("six"), slotSize)
	rec, err := parseRecord(data)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[rec.offset(7):], slot{sequence: 7, named: true, payload: []byte("seven")}.encode())
	payload := bytes.Repeat([]byte("eight"), int(slotSize-headerSize)/5)
	return data, slot{sequence: 8, named: true, payload: payload}.encode(), rec.offset(8)
}

func wantNewest(t *testing.T, data []byte, sequence uint64) {
	t.Helper()
	rec, err := parseRecord(data)
	if err != nil {
		t.Fatal(err)
	}
	if rec.current.sequence != sequence {
		t.Fatalf("newest entry is %d, expected %d", rec.current.sequence, sequence)
	}
}

// TestTornSlot tears the write of a slot at every byte, from the front and
// from the back.
func TestTornSlot(t *testing.T) {
	for _, slotSize := range []int64{minSlot, 2 * minSlot} {
		before, next, offset := written(t, slotSize)
		// What the slot holds behind its payload is of no account.
		used := bytes.TrimRight(next, "\x00")
		for n := range next {
			front, back := bytes.Clone(before), bytes.Clone(before)
			copy(front[offset:], next[:n])
			copy(back[offset+int64(n):], next[n:])
			for _, data := range [][]byte{front, back} {
				if bytes.HasPrefix(data[offset:], used) {
					wantNewest(t, data, 8)
				} else {
					wantNewest(t, data, 7)
				}
			}
		}
	}
}

func TestFlippedBit(t *testing.T) {
	data, _, _ := written(t, minSlot)
	next := slot{sequence: 8, named: true, payload: []byte("eight")}.encode()
	for bit := range 8 * (headerSize + len("eight")) {
		copy(data, next)
		data[bit/8] ^= 1 << (bit % 8)
		wantNewest(t, data, 7)
	}
	copy(data, next)
	wantNewest(t, data, 8)
}

func TestDamagedRecord(t *testing.T) {
	whole, _, _ := written(t, minSlot)
	change := func(edit func(data []byte)) []byte {
		data := bytes.Clone(whole)
		edit(data)
		return data
	}
	version2 := slot{sequence: 8}.encode()
	version2[9] = 2
	sum := checksum(version2[:headerSize])
	copy(version2[32:], sum[:])

	tests := []struct{ name, data, want string }{
		{"empty", "", "0 bytes long"},
		{"one slot", string(whole[:minSlot]), "4096 bytes long"},
		{"one byte short", string(whole[1:]), "8191 bytes long"},
		{"three slots", string(whole) + string(whole[:minSlot]), "12288 bytes long"},
		{"slots too large", string(newFile(1, nil, 2*maxSlot)), "262144 bytes long"},
		{"zeros", string(make([]byte, 2*minSlot)), "no ledger slot"},
		{"both torn", string(change(func(b []byte) { b[65]++; b[minSlot+66]++ })), "wrong checksum"},
		{"slots swapped", string(whole[minSlot:]) + string(whole[:minSlot]), "out of place"},
		{"newer format", string(change(func(b []byte) { copy(b, version2) })), "format version 2"},
		{"other file's slot", string(change(func(b []byte) { copy(b, slot{sequence: 90}.encode()) })), "do not follow"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseRecord([]byte(test.data))
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, expected %q", err, test.want)
			}
		})
	}
}

// FuzzRecord looks for a file that panics, or that is taken although what it
// says is not what would be written for it.
func FuzzRecord(f *testing.F) {
	entry := Entry{Used: map[string]Use{"a": {Step: 5, Drift: -1}}, UsedHashes: []string{"x"}, Attempts: Attempts{Wrong: 2}}
	f.Add(encodeEntry(entry), uint16(0), byte(0))
	f.Add([]byte{tagAttempts, 3, 2, 0, 0}, uint16(12), byte(0x80))
	f.Fuzz(func(t *testing.T, payload []byte, place uint16, flip byte) {
		if len(payload) > minSlot-headerSize {
			return
		}
		data := newFile(4, payload, minSlot)
		data[int(place)%len(data)] ^= flip
		rec, err := parseRecord(data)
		if err != nil {
			t.Fatalf("one byte changed damages both slots: %v", err)
		}
		if !bytes.Equal(rec.current.payload, payload) {
			t.Fatalf("payload %x came back as %x", payload, rec.current.payload)
		}
		_, _ = parseRecord(payload)
		decoded, err := decodeEntry(payload)
		if err != nil {
			return
		}
		again, err := decodeEntry(encodeEntry(decoded))
		if err != nil || !bytes.Equal(encodeEntry(again), encodeEntry(decoded)) {
			t.Fatalf("entry %+v came back as %+v, %v", decoded, again, err)
		}
	})
}

func TestEntryOfNewerVersion(t *testing.T) {
	payload := append(encodeEntry(Entry{UsedHashes: []string{"x"}}), 200, 1, 0)
	if _, err := decodeEntry(payload); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "unknown field 200") {
		t.Errorf("error is %v, expected one about field 200", err)
	}
}

func FuzzFileName(f *testing.F) {
	for _, pair := range [][2]string{{"a", "A"}, {"..", "../x"}, {"a%2Fb", "a/b"}, {strings.Repeat("/", 81), "~"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if errors.Join(CheckKey(UserKey(a)), CheckKey(UserKey(b))) != nil {
			return
		}
		fileA, fileB := fileName(a), fileName(b)
		if a != b && fileA == fileB {
			t.Errorf("%q and %q share %q", a, b, fileA)
		}
		temporary := location{name: fileA}.temporaryName()
		if fileA == "" || fileA[0] == '.' || fileA[0] == '-' || strings.ContainsAny(fileA, "/\x00") || len(temporary) > 255 {
			t.Errorf("%q becomes %q", a, fileA)
		}
	})
}
