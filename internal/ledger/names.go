package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxName keeps a file name, and the name it has while it is being made, below
// NAME_MAX, which is 255 on every file system in use.
const maxName = 240

// maxKeyName is what the name of a key may have.
const maxKeyName = 255

// kindDirs says where below the state directory each kind of key lives.
var kindDirs = map[Kind]string{
	User: "users", Source: "sources", Client: "clients", BreakGlass: "break-glass", Link: "links", Invited: "invited",
}

// fileName turns a key's name into a file name: no two names share one, none
// begins with a dot and none holds a slash. Common login names and addresses
// stay as they are, so that an admin finds them.
func fileName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; plain(c, i == 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() <= maxName {
		return b.String()
	}
	// The tilde is never plain, so this is nobody's encoded name.
	sum := sha256.Sum256([]byte(name))
	return "~" + hex.EncodeToString(sum[:])
}

// plain says whether a byte stands for itself. A leading dot hides a file or
// leaves the directory; a leading dash is an option to the admin's shell.
func plain(c byte, first bool) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == ':', c == '@':
		return true
	case c == '.', c == '-':
		return !first
	}
	return false
}
