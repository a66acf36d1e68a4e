package invocation

import (
	"bufio"
	"errors"
	"io"

	"filippo.io/age"
)

// ageIntro is what a file that age encrypted begins with.
const ageIntro = "age-encryption.org/v1\n"

// DecryptAge decrypts what age encrypted. Of anything else age quotes the first line,
// which may be a secret: that of a key, or of a list of devices.
func DecryptAge(from io.Reader, identities ...age.Identity) (io.Reader, error) {
	buffered := bufio.NewReader(from)
	switch begin, err := buffered.Peek(len(ageIntro)); {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case string(begin) != ageIntro:
		return nil, errors.New("expected a file encrypted with age, not armored")
	}
	return age.Decrypt(buffered, identities...)
}
