package tokenfile

import (
	"slices"
	"strings"
)

// IsKeyLike says whether a text that is taken for a name could be a key: who mixes
// up two columns must not find keys in messages.
func IsKeyLike(name string) bool {
	if strings.Contains(name, "://") || len(name) > 64 {
		return true
	}
	if words := strings.Fields(name); len(words) > 1 && slices.ContainsFunc(words, IsKeyLike) {
		return true
	}
	compact := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -_=\"',;", r) {
			return -1
		}
		return r
	}, name)
	if len(compact) < 16 {
		return false
	}
	digits := len(compact) - len(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, compact))
	upper := compact == strings.ToUpper(compact)
	inBase32 := strings.Trim(strings.ToUpper(compact), "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
	inHex := strings.Trim(strings.ToUpper(compact), "0123456789ABCDEF") == ""
	inBase64 := strings.Trim(compact, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == ""
	mixed := compact != strings.ToLower(compact) && !upper && digits > 0
	return inBase32 && (upper || digits > 1) || inHex && digits > 1 || inBase64 && mixed
}
