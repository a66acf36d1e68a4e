package daemon

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxReaders bounds who reads the figures at once: anybody on the machine can
// reach a loopback address, and must not take the descriptors of logins.
const maxReaders = 8

// ServeMetrics serves what write prints, in the text format of Prometheus, below
// /metrics at address: host and port, or "unix:" and a path. Where that is empty
// nothing is served. It ends with stop. write waits for no reader, and may hold
// what logins need.
func ServeMetrics(address string, write func(io.Writer) error) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := listenMetrics(address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		var text bytes.Buffer
		if write(&text) == nil {
			_, _ = text.WriteTo(w) // the reader is gone
		}
	})
	web := &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, MaxHeaderBytes: 4 << 10,
		ErrorLog: log.New(io.Discard, "", 0)}
	web.SetKeepAlivesEnabled(false)
	go func() { _ = web.Serve(newLimitListener(listener, maxReaders)) }()
	return func() { _ = web.Close() }, nil
}

func listenMetrics(address string) (net.Listener, error) {
	path, isPath := strings.CutPrefix(address, "unix:")
	if !isPath {
		return net.Listen("tcp", address)
	}
	return ListenUnix(path, 0o660)
}

// limitListener has at most so many connections open. Further ones wait.
type limitListener struct {
	net.Listener
	open   chan struct{}
	closed chan struct{}
	close  func() error
}

func newLimitListener(listener net.Listener, most int) *limitListener {
	f := &limitListener{Listener: listener, open: make(chan struct{}, most), closed: make(chan struct{})}
	f.close = sync.OnceValue(func() error {
		close(f.closed)
		return listener.Close()
	})
	return f
}

// Close implements net.Listener.
func (f *limitListener) Close() error { return f.close() }

// Accept implements net.Listener.
func (f *limitListener) Accept() (net.Conn, error) {
	select {
	case f.open <- struct{}{}:
	case <-f.closed:
		return nil, net.ErrClosed
	}
	conn, err := f.Listener.Accept()
	if err != nil {
		<-f.open
		return nil, err
	}
	return &limitedConn{Conn: conn, free: sync.OnceFunc(func() { <-f.open })}, nil
}

type limitedConn struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (o *limitedConn) Close() error {
	defer o.free()
	return o.Conn.Close()
}
