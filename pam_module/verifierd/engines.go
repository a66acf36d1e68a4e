package main

import (
	"errors"
	"io/fs"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
)

// engines keeps the engine of the configuration as it is in the file. It looks
// at the file's state before each login, so that a change holds from the next
// one on, as it does where a core is forked.
type engines struct {
	path string // as for config.Load
	sink audit.Sink

	mu     sync.Mutex
	seen   state
	engine *gate.Gate
	err    error
	allow  []uint32
}

// state is what changes when a file does.
type state struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
	missing      bool
}

func stateOf(path string) (state, error) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if errors.Is(err, fs.ErrNotExist) {
		return state{missing: true}, nil
	}
	if err != nil {
		return state{}, &fs.PathError{Op: "stat", Path: path, Err: err.(syscall.Errno)}
	}
	return state{dev: st.Dev, ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim}, nil
}

// file is the path that is read.
func (e *engines) file() string {
	if e.path == "" {
		return config.DefaultPath
	}
	return e.path
}

// isFor says whether a front that names this configuration can be answered.
func (e *engines) isFor(path string) bool {
	return path == e.path || (path == "" && e.path == config.DefaultPath) || (path == config.DefaultPath && e.path == "")
}

// current returns the engine for the file as it is now. A file that is wrong
// denies, as it does everywhere.
func (e *engines) current() (*gate.Gate, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, err := stateOf(e.file())
	if err != nil {
		return nil, err
	}
	if now == e.seen && (e.engine != nil || e.err != nil) {
		return e.engine, e.err
	}
	e.load()
	e.seen = now
	return e.engine, e.err
}

// reload reads the file whether it has changed or not: users may have come or
// gone that it names.
func (e *engines) reload() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, err := stateOf(e.file())
	if err != nil {
		return err
	}
	e.load()
	e.seen = now
	return e.err
}

// load must be called with the lock. Dialogues that are under way keep the
// engine they have.
func (e *engines) load() {
	e.engine, e.err = gate.Open(e.path, e.sink)
	if e.err != nil {
		e.engine = nil
		return
	}
	e.allow = nil
	for _, name := range e.engine.Config.Verifier.Allow {
		// A name that is not known denies its own programs, nobody else's.
		uid, err := uidOf(name)
		if err != nil {
			e.sink.Write(audit.Record{Verdict: "fault", Rule: "configuration", Reason: err.Error()})
			continue
		}
		e.allow = append(e.allow, uid)
	}
}

func (e *engines) allowed() []uint32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.allow
}
