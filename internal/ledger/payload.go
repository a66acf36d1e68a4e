package ledger

import "fmt"

// MaxPayload bounds an encoded entry, in every Store alike: what one takes another
// one must be able to take over.
const MaxPayload = maxSlot - headerSize

// CheckKey says what is wrong with a key that no Store takes.
func CheckKey(key Key) error {
	if _, known := kindDirs[key.Kind]; !known {
		return fmt.Errorf("ledger key: unknown kind %d", key.Kind)
	}
	if len(key.Name) < 1 || len(key.Name) > maxKeyName {
		return fmt.Errorf("ledger key: a key name of %d bytes, expected 1 to %d", len(key.Name), maxKeyName)
	}
	return nil
}

// Decode gives the entry that a Store kept as payload; none is the zero entry.
func Decode(payload []byte) (Entry, error) { return decodeEntry(payload) }

// Change gives what change makes of an encoded entry, and whether that differs. An
// error of change is returned as it is.
func Change(payload []byte, change func(*Entry) error) (after []byte, changed bool, err error) {
	after, changed, err = apply(payload, change)
	if err == nil && len(after) > MaxPayload {
		return nil, false, tooLarge(len(after))
	}
	return after, changed, err
}

func tooLarge(payload int) error {
	return fmt.Errorf("entry of %d bytes, expected at most %d", payload, MaxPayload)
}
