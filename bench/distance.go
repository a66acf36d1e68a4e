package main

import (
	"fmt"
	"io"
	"net"
	"time"
)

// roundTrip is how far away the distant server is.
const roundTrip = 20 * time.Millisecond

// distant makes an address by which one reaches another with a delay each way. TCP's
// own handshake has none; connections are kept.
func distant(to string) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for a distant server: %w", err)
	}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go carry(near, to)
		}
	}()
	return listener.Addr().String(), nil
}

// carry is one connection, until either side ends it.
func carry(near net.Conn, to string) {
	defer near.Close()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return // the client says that it was closed
	}
	defer far.Close()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			delay(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}

// delay passes on what comes, each piece half a round trip later.
func delay(from io.Reader, to io.Writer) {
	type piece struct {
		due  time.Time
		data []byte
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			data := make([]byte, 32<<10)
			n, err := from.Read(data)
			if err != nil {
				return
			}
			pieces <- piece{time.Now().Add(roundTrip / 2), data[:n]}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			return
		}
	}
}

// measuredTrip is what a round trip of one byte takes by such an address, as timers are
// late.
func measuredTrip() (time.Duration, error) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer echo.Close()
	go func() {
		if conn, err := echo.Accept(); err == nil {
			_, _ = io.Copy(conn, conn)
		}
	}()
	address, err := distant(echo.Addr().String())
	if err != nil {
		return 0, err
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var times []time.Duration
	for range 50 {
		begun := time.Now()
		if _, err := conn.Write([]byte{1}); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			return 0, err
		}
		times = append(times, time.Since(begun))
	}
	return quantile(times, 0.5), nil
}
