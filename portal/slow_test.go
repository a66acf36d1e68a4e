package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
)

// Whoever sends the headers of a request, and then a form that does not end, holds a
// connection as one without a request does.
func TestSlowForms(t *testing.T) {
	begun := make(chan bool, 10)
	address, open := served(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun <- true
		_, _ = io.ReadAll(r.Body)
		defer asks(r.Context())()
	}), 3, &lines{})
	var slow []net.Conn
	for range 3 {
		slow = append(slow, dialled(t, address, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nfirst=1"))
		<-begun
	}
	response, err := http.ReadResponse(bufio.NewReader(dialled(t, address, get)), nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("who comes then gets %v, %v", response, err)
	}
	if isOpen(open, slow[0]) {
		t.Error("the oldest of the slow ones is still open")
	}
}

// One connection of HTTP/2 asks for few things at once.
func TestStreams(t *testing.T) {
	var p config.Portal
	p.CertificateFile, p.KeyFile = writePair(t, t.TempDir(), 1)
	pair, err := newKeyPair(p, &lines{})
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := listen("127.0.0.1:0", pair)
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(http.NotFoundHandler(), &lines{})
	go server.Serve(listeners[0])
	t.Cleanup(func() { server.Close() })
	conn, err := tls.Dial("tcp", listeners[0].Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The preface and empty settings; the server's come first (RFC 9113 section 3.4).
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 9)
	if _, err := io.ReadFull(conn, frame); err != nil || frame[3] != 4 {
		t.Fatalf("%v, %v", frame, err)
	}
	settings := make([]byte, int(frame[1])<<8|int(frame[2]))
	if _, err := io.ReadFull(conn, settings); err != nil {
		t.Fatal(err)
	}
	streams := uint32(0)
	for ; len(settings) >= 6; settings = settings[6:] {
		if binary.BigEndian.Uint16(settings) == 3 { // SETTINGS_MAX_CONCURRENT_STREAMS
			streams = binary.BigEndian.Uint32(settings[2:])
		}
	}
	if streams != mostStreams {
		t.Errorf("%d streams at once, expected %d", streams, mostStreams)
	}
}
