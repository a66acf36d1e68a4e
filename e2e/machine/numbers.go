package machine

import (
	"bytes"
	"maps"
	"math"
	"regexp"
	"slices"
)

// A run keeps thousands of codes of six digits, so each number of six digits
// that stands in a log for another reason is one of them in one run of a few
// hundred. So the numbers that a log has are taken out before codes are looked
// for, in the places where the program that logs puts them and never a text of
// a person. Of what is left it is computed how likely it is a code by chance.

// numbers are the places of what is no person's text, and what stands there
// without it.
var numbers = []struct {
	where   *regexp.Regexp
	without string
}{
	// How much a transfer was. In quotes, as a path with an equals sign is,
	// these words would be part of it, so it is what the line ends with.
	{regexp.MustCompile(`(?m) read=\d+ written=\d+ result=([^ "\n]+)$`), ` read=# written=# result=$1`},
	{regexp.MustCompile(`(?m) read=\d+ written=\d+ result=("[^"\n]*")$`), ` read=# written=# result=$1`},
	// Process ids: of who logs, and in what it says of others.
	{regexp.MustCompile(`(?m)^([\w.()/-]+)\[\d+\]:`), `$1[#]:`},
	{regexp.MustCompile(`\b([Pp][Ii][Dd])[ =]\d+\b`), `$1 #`},
	// What sshd says of connections, users and certificates.
	{regexp.MustCompile(`\bport \d{1,5}\b`), `port #`},
	{regexp.MustCompile(`\b([eg]?uid)[ =]\d+\b`), `$1 #`},
	{regexp.MustCompile(`\bserial \d+\b`), `serial #`},
	// Of whom the verifier has never seen a user.
	{regexp.MustCompile(`\buids \d+ to \d+ without a user\b`), `uids # to # without a user`},
	// Fingerprints have signs that end a word.
	{regexp.MustCompile(`\bSHA256:[A-Za-z0-9+/]{43}`), `SHA256:#`},
	// Names of keys are the beginning of a hash.
	{regexp.MustCompile(`\bkey [0-9a-f]{8}\b`), `key #`},
	// The mode of a regular file, with its type, as stat(2) has it.
	{regexp.MustCompile(`\bmode 10[0-7]{4}\b`), `mode #`},
	// How large saslauthd makes its cache.
	{regexp.MustCompile(`(?m)\bcache table: \d+ (total bytes|slots|buckets)$`), `cache table: # $1`},
	// A time of day with its fractions.
	{regexp.MustCompile(`\b(\d\d:\d\d:\d\d)[.,]\d{3,9}\b`), `$1.#`},
}

// withoutNumbers is data with a # for each number of those.
func withoutNumbers(data []byte) []byte {
	data = withoutChecksums(data)
	if bytes.IndexByte(data, 0) >= 0 {
		return data
	}
	for _, number := range numbers {
		data = number.where.ReplaceAll(data, []byte(number.without))
	}
	return data
}

// A record of the ledger has a SHA-256 at bytes 32 to 64 of each slot, which
// begins with this; see docs/ledger.md.
const (
	slotMagic            = "otpledg\n"
	sumBegins, sumEnds   = 32, 64
	smallestSlot         = 4096
	wordOfDigitsInRandom = 0.758 * 0.758 // both neighbours are neither letter nor digit: (194/256)^2
)

// withoutChecksums is data with the checksums of ledger records blank.
func withoutChecksums(data []byte) []byte {
	if !bytes.HasPrefix(data, []byte(slotMagic)) {
		return data
	}
	data = bytes.Clone(data)
	for at := 0; at+sumEnds <= len(data); at += smallestSlot {
		if bytes.HasPrefix(data[at:], []byte(slotMagic)) {
			clear(data[at+sumBegins : at+sumEnds])
		}
	}
	return data
}

// mostOdds is how likely a run may fail by chance here.
const mostOdds = 1e-6

// chance is what could be a code by chance.
type chance struct {
	finder *finder // of what is kept
	// words are the numbers that nothing accounts for, in places that have one as long as
	// a code, and where each is. The same one twice is no more likely a code.
	words map[string]string
	// random is how many bytes can be taken for drawn at random: of such ones
	// every second is above 127, and of texts and small numbers none.
	random int
}

// look counts what data adds.
func (c *chance) look(p place) {
	if c.words == nil {
		c.words = map[string]string{}
	}
	if bytes.IndexByte(p.data, 0) < 0 && !c.finder.hasNumber(p.data) {
		return
	}
	data := withoutNumbers(p.data)
	if bytes.IndexByte(data, 0) >= 0 {
		for _, b := range data {
			if b > 127 {
				c.random += 2
			}
		}
		return
	}
	for _, match := range word.FindAllIndex(data, -1) {
		if number := data[match[0]:match[1]]; isNumber(number) {
			c.words[string(number)] = p.name + ": " + lineAt(data, match[0])
		}
	}
}

func lineAt(data []byte, at int) string {
	begin := bytes.LastIndexByte(data[:at], '\n') + 1
	line, _, _ := bytes.Cut(data[begin:], []byte("\n"))
	return string(line)
}

func isNumber(word []byte) bool {
	for _, b := range word {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}

// odds is how likely at least one of them is a code of those that are kept, or
// a bit more: each number is taken for one drawn anew, and so is each byte of
// what is no text.
func (c *chance) odds(s *secrets) float64 {
	of := s.codes()
	odds := 0.0
	for word := range c.words {
		odds += float64(of[len(word)]) / math.Pow10(len(word))
	}
	for length, codes := range of {
		begins := wordOfDigitsInRandom * math.Pow(10.0/256, float64(length))
		odds += float64(c.random) * begins * float64(codes) / math.Pow10(length)
	}
	return odds
}

// codes is how many codes of each length are kept.
func (s *secrets) codes() map[int]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := map[int]int{}
	for text := range s.texts {
		if len(text) < long && isNumber([]byte(text)) {
			of[len(text)]++
		}
	}
	return of
}

// unaccounted are numbers as long as codes are, at most so many that a person
// would read.
func (c *chance) unaccounted(s *secrets) []string {
	of := s.codes()
	var all []string
	for _, word := range slices.Sorted(maps.Keys(c.words)) {
		if of[len(word)] > 0 && len(all) < 20 {
			all = append(all, word+" in "+c.words[word])
		}
	}
	return all
}
