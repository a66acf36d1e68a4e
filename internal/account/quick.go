package account

import (
	"bytes"
	"sync"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/otpgate/otpgate/internal/tomlfile"
)

// decode reads data, the contents of the secret file at path.
func decode(path string, data []byte) (file, error) {
	if f, ok := quick(data); ok {
		return f, nil
	}
	var f file
	err := tomlfile.Decode(path, data, &f)
	return f, err
}

// quick reads what otpctl writes, and most of what is written by hand, without
// reflection: a login finds none of its code and tables in the processor's
// caches, and [tomlfile.Decode] has many. That is a fifteenth of a login by the resident
// verifier (docs/performance.md). It takes only what Decode takes, with
// the same result, which shares no memory with data. In any doubt ok is false:
// then Decode says what the file holds, or what is wrong with it.
func quick(data []byte) (f file, ok bool) {
	p := parsers.Get().(*quickParser)
	defer parsers.Put(p)
	return p.read(data)
}

// quickParser is the memory that quick works in. It is used again, as the parser's own
// takes longer to get than to use. The parser goes on pointing at what it read
// last, so that is a copy, which is wiped.
type quickParser struct {
	parser unstable.Parser
	copied []byte
}

var parsers = sync.Pool{New: func() any { return new(quickParser) }}

func (p *quickParser) read(data []byte) (f file, ok bool) {
	// The parser writes texts with escapes to where they cannot be wiped.
	if bytes.IndexByte(data, '\\') >= 0 && bytes.IndexByte(data, '"') >= 0 {
		return file{}, false
	}
	p.copied = append(p.copied[:0], data...)
	defer clear(p.copied)
	p.parser.Reset(p.copied)
	var q quickFile
	for p.parser.NextExpression() {
		if !q.take(p.parser.Expression()) {
			return file{}, false
		}
	}
	if p.parser.Error() != nil || !q.haveKinds() {
		return file{}, false
	}
	return q.file, true
}

// quickFile is a file while it is read from the top.
type quickFile struct {
	file
	table table
	// seen has a bit for each key that the table has had.
	seen uint16
	// hadRecovery says that there was a table of recovery codes.
	hadRecovery bool
}

// table is what the keys that are read belong to.
type table int

const (
	inPerson table = iota
	inFactor
	inRecovery
)

// take reads the key or table e.
func (q *quickFile) take(e *unstable.Node) bool {
	key := e.Key()
	if !key.Next() || !key.IsLast() {
		return false
	}
	name := key.Node().Data
	switch {
	case e.Kind == unstable.ArrayTable && string(name) == "factor":
		q.Factors = append(q.Factors, fileFactor{})
		q.table, q.seen = inFactor, 0
		return true
	case e.Kind == unstable.Table && string(name) == "recovery" && !q.hadRecovery:
		q.table, q.seen, q.hadRecovery = inRecovery, 0, true
		return true
	case e.Kind != unstable.KeyValue:
		return false
	}
	switch q.table {
	case inPerson:
		return q.takePerson(name, e.Value())
	case inFactor:
		return q.takeFactor(&q.Factors[len(q.Factors)-1], name, e.Value())
	}
	return q.takeRecovery(name, e.Value())
}

func (q *quickFile) takePerson(name []byte, value *unstable.Node) (ok bool) {
	switch string(name) {
	case "version":
		q.Version, ok = number(value)
		return ok && q.first(0)
	case "user":
		q.User, ok = text(value)
		return ok && q.first(1)
	case "enabled":
		q.Enabled, ok = optional(truth(value))
		return ok && q.first(2)
	case "protocols":
		q.Protocols, ok = list(value, protocol)
		return ok && q.first(3)
	case "email":
		q.Email, ok = text(value)
		return ok && q.first(4)
	case "phone":
		q.Phone, ok = text(value)
		return ok && q.first(5)
	case "binding":
		q.Binding, ok = text(value)
		return ok && q.first(6)
	}
	return false
}

func (q *quickFile) takeFactor(f *fileFactor, name []byte, value *unstable.Node) (ok bool) {
	switch string(name) {
	case "id":
		f.ID, ok = text(value)
		return ok && q.first(0)
	case "kind":
		return value.Kind == unstable.String && f.Kind.UnmarshalText(value.Data) == nil && q.first(1)
	case "secret":
		f.Secret = new(writtenSecret)
		return value.Kind == unstable.String && f.Secret.UnmarshalText(value.Data) == nil && q.first(2)
	case "digits":
		f.Digits, ok = optional(number(value))
		return ok && q.first(3)
	case "period":
		f.Period, ok = optional(number(value))
		return ok && q.first(4)
	case "algorithm":
		f.Algorithm, ok = optional(text(value))
		return ok && q.first(5)
	case "counter":
		counter, ok := number(value)
		f.Counter = int64(counter)
		return ok && q.first(6)
	case "confirmed":
		f.Confirmed, ok = moment(value)
		return ok && q.first(7)
	case "prefix":
		f.Prefix, ok = text(value)
		return ok && q.first(8)
	}
	return false
}

func (q *quickFile) takeRecovery(name []byte, value *unstable.Node) (ok bool) {
	switch string(name) {
	case "hashes":
		q.Recovery.Hashes, ok = texts(value)
		return ok && q.first(0)
	case "user":
		q.Recovery.User, ok = text(value)
		return ok && q.first(1)
	}
	return false
}

// first says that the table has not had the key with this number, and notes it.
func (q *quickFile) first(key int) bool {
	had := q.seen&(1<<key) != 0
	q.seen |= 1 << key
	return !had
}

// haveKinds says that each factor has a kind, without which Decode takes none.
func (q *quickFile) haveKinds() bool {
	for _, f := range q.Factors {
		if f.Kind == "" {
			return false
		}
	}
	return true
}
