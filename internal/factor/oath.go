package factor

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
)

// hashes are those of RFC 6238 section 1.2, by their names in secret files.
var hashes = map[string]func() hash.Hash{
	"SHA1":   sha1.New,
	"SHA256": sha256.New,
	"SHA512": sha512.New,
}

// oath computes the code for a counter: RFC 4226 section 5.3, with the hash
// as RFC 6238 section 1.2 allows. digits is 6 to 8. It returns "" for an
// unknown algorithm and for no secret, which no input equals.
func oath(secret []byte, counter int64, digits int, algorithm string) string {
	newHash := hashes[algorithm]
	if newHash == nil || len(secret) == 0 || digits < 1 || digits > 9 {
		return ""
	}
	mac := hmac.New(newHash, secret)
	var message [8]byte
	binary.BigEndian.PutUint64(message[:], uint64(counter))
	mac.Write(message[:])
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f
	truncated := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	code := make([]byte, digits)
	for i := digits - 1; i >= 0; i-- {
		code[i] = byte('0' + truncated%10)
		truncated /= 10
	}
	return string(code)
}

// isDigits says whether text is exactly n of 0-9. Nothing is trimmed or
// normalised first: what is remembered as used must have one spelling only.
func isDigits(text string, n int) bool {
	if n < 1 || len(text) != n {
		return false
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}
