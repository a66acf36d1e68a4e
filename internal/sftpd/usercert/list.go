package usercert

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/authkeys"
)

// krlMagic begins a binary revocation list, see PROTOCOL.krl of OpenSSH.
const krlMagic = "SSHKRL\n\x00"

// errKRL is for a file that sshd would read and this server does not.
var errKRL = errors.New("a binary revocation list (KRL) is not read here; expected public keys, one a line")

// List reads a file of public keys without options, one a line, and returns
// them as on the wire. A certificate stands for the key in it. A line that is
// no key is an error: else a mistyped one would not be revoked.
func List(file []byte) ([][]byte, error) {
	if bytes.HasPrefix(file, []byte(krlMagic)) {
		return nil, errKRL
	}
	var keys [][]byte
	number := 0
	for line := range bytes.Lines(file) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, ok := authkeys.ParseKey(string(line))
		if ok && Is(key) {
			cert, err := Parse(key)
			key, ok = cert.Key, err == nil
		}
		if _, err := ssh.ParsePublicKey(key); !ok || err != nil {
			return nil, fmt.Errorf("line %d: expected a public key without options, as ssh-keygen writes it into a .pub file", number)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
