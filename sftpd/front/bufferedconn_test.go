package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// pair is a connection of the system, ours wrapped.
func pair(t *testing.T) (ours *bufferedConn, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ours, err = newBufferedConn(plain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// Whatever is written in whatever pieces comes out the same, and nothing is
// held for good.
func TestConnWrites(t *testing.T) {
	ours, theirs := pair(t)
	var want bytes.Buffer
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(theirs)
		got <- all
	}()
	for i, size := range []int{1, 4096, 5, 4096, 4096, 4096, 100, writeSize, writeSize + 1, 4096, 3 * writeSize, 0, 7} {
		piece := bytes.Repeat([]byte{byte(i)}, size)
		want.Write(piece)
		if i%3 == 0 {
			ours.cork()
		}
		if n, err := ours.Write(piece); n != size || err != nil {
			t.Fatalf("wrote %d of %d: %v", n, size, err)
		}
		if i%3 == 0 {
			ours.uncork()
		}
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if all := <-got; !bytes.Equal(all, want.Bytes()) {
		t.Errorf("%d bytes came of %d", len(all), want.Len())
	}
	if _, err := ours.Write([]byte("x")); err == nil {
		t.Error("expected an error after Close")
	}
}

// What is held back comes when its time is over.
func TestConnHolds(t *testing.T) {
	ours, theirs := pair(t)
	ours.cork()
	for _, size := range []int{sshBuffer, 10} {
		if _, err := ours.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := theirs.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(theirs, make([]byte, size)); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestConnReads(t *testing.T) {
	ours, theirs := pair(t)
	want := bytes.Repeat([]byte("0123456789"), 50000)
	go func() {
		_, _ = theirs.Write(want)
		theirs.Close()
	}()
	got, err := io.ReadAll(ours)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
	if ours.in != nil {
		t.Error("a buffer is kept at the end")
	}
}

// offer is a client's identification and KEXINIT.
func offer(toServer, toClient string) []byte {
	payload := append([]byte{kexInit}, make([]byte, 16)...)
	for _, list := range []string{"curve25519-sha256", "ssh-ed25519", toServer, toClient, "", "", "", "", "", ""} {
		payload = binary.BigEndian.AppendUint32(payload, uint32(len(list)))
		payload = append(payload, list...)
	}
	payload = append(payload, make([]byte, 5)...)
	padding := 8 - (len(payload)+5)%8 + 8
	packet := binary.BigEndian.AppendUint32(nil, uint32(len(payload)+padding+1))
	packet = append(append(packet, byte(padding)), payload...)
	return append([]byte("SSH-2.0-test\r\n"), append(packet, make([]byte, padding)...)...)
}

func TestWanted(t *testing.T) {
	both := "chacha20-poly1305@openssh.com,aes128-ctr,aes128-gcm@openssh.com"
	for name, test := range map[string]struct {
		sent []byte
		gcm  bool
	}{
		"both ways":    {offer(both, both), true},
		"one way":      {offer(both, "aes128-ctr"), false},
		"none":         {offer("aes128-ctr", "chacha20-poly1305@openssh.com"), false},
		"cut":          {offer(both, both)[:60], false},
		"not ssh":      {[]byte("GET / HTTP/1.0\r\n\r\n"), false},
		"huge":         {[]byte("SSH-2.0-x\r\n\xff\xff\xff\xff\x05\x14"), false},
		"all padding":  {[]byte("SSH-2.0-x\r\n\x00\x00\x00\x10\xff" + strings.Repeat("\x14", 16)), false},
		"endless line": {bytes.Repeat([]byte("x"), 10000), false},
	} {
		client, got := readOffer(bytes.NewReader(test.sent))
		if (got != nil) != test.gcm {
			t.Errorf("%s: %v", name, got)
		}
		if strings.HasPrefix(string(test.sent), "SSH-2.0-test") != (client == "SSH-2.0-test") {
			t.Errorf("%s: the client is %q", name, client)
		}
	}
}

func FuzzWanted(f *testing.F) {
	f.Add(offer("aes128-gcm@openssh.com", "aes128-ctr"))
	f.Fuzz(func(t *testing.T, sent []byte) { readOffer(bytes.NewReader(sent)) })
}

// The library must go on giving keys that are followed by their signature in
// memory, or nobody gets in by one; see signatureBehind.
func TestSignatureBehind(t *testing.T) {
	public := append(append(make([]byte, 32), 0, 0, 0, 3), "sig"...)
	blob := append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), public...)
	key, err := ssh.ParsePublicKey(blob[:len(blob)-7])
	if err != nil {
		t.Fatal(err)
	}
	if got := signatureBehind(key); string(got) != "sig" {
		t.Errorf("found %q", got)
	}
}
