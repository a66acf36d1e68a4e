package clients

import (
	"bytes"
	"sync"
)

// Loader is [Load] for whoever loads the same files again and again. Each is read and
// examined anew, as a change counts at once; what it says is parsed only if that has
// changed. The zero value has parsed nothing.
type Loader struct {
	mu     sync.Mutex
	parsed map[string]parsed // by the path
}

type parsed struct {
	data   []byte
	client Client
}

// Load reads the file of one client. What it gives must not be written to.
func (l *Loader) Load(dir, name string) (Client, error) {
	path, data, err := read(dir, name)
	if err != nil {
		return Client{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.parsed[path]; ok && bytes.Equal(last.data, data) {
		return last.client, nil
	}
	client, err := Parse(path, name, data)
	if err != nil {
		return Client{}, err
	}
	if l.parsed == nil {
		l.parsed = map[string]parsed{}
	}
	l.parsed[path] = parsed{data, client}
	return client, nil
}
