package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
)

// chooseCiphers looks at what the client can do before the handshake begins, and says how
// it identifies itself and which ciphers to offer; nil is all that there are. The
// client's first choice wins in SSH, and that of OpenSSH's client was ChaCha20 for
// long, which costs x/crypto/ssh five times what AES-GCM does. Both are good
// ciphers.
//
// What is read is read again by the handshake.
func (c *bufferedConn) chooseCiphers(version string) (client string, ciphers []string, err error) {
	line := version + "\r\n"
	if _, err := c.Conn.Write([]byte(line)); err != nil {
		return "", nil, err
	}
	c.alreadySent = len(line)
	// A client that waits for the server's offer first gets all ciphers.
	if err := c.SetReadDeadline(time.Now().Add(offerTimeout)); err != nil {
		return "", nil, err
	}
	read := &record{from: c}
	client, ciphers = readOffer(read)
	c.replay = append(read.all, c.replay...)
	return client, ciphers, c.SetReadDeadline(time.Time{})
}

const offerTimeout = 2 * time.Second

// record keeps what is read.
type record struct {
	from io.Reader
	all  []byte
}

// Read implements io.Reader.
func (r *record) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.all = append(r.all, p[:n]...)
	return n, err
}

// Bounds of RFC 4253 sections 4.2 and 6.1.
const (
	maxVersion = 255
	maxLines   = 20
	maxInit    = 35000
	kexInit    = 20
)

// readOffer reads the client's identification and its offer (RFC 4253 section
// 7.1), and returns the AES-GCM ciphers if it has one both ways.
func readOffer(r io.Reader) (client string, ciphers []string) {
	client, ok := readVersion(r)
	if !ok {
		return "", nil
	}
	return client, fastBothWays(r)
}

func fastBothWays(r io.Reader) []string {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil
	}
	length, padding := binary.BigEndian.Uint32(head[:4]), uint32(head[4])
	if length > maxInit || padding+18 > length {
		return nil
	}
	payload := make([]byte, length-1)
	if _, err := io.ReadFull(r, payload); err != nil || payload[0] != kexInit {
		return nil
	}
	lists := payload[17 : len(payload)-int(padding)]
	var offered [2][]string
	for i := range 4 { // key exchange, host key, ciphers to the server, to the client
		if len(lists) < 4 || uint64(binary.BigEndian.Uint32(lists)) > uint64(len(lists)-4) {
			return nil
		}
		end := 4 + binary.BigEndian.Uint32(lists)
		if i >= 2 {
			offered[i-2] = strings.Split(string(lists[4:end]), ",")
		}
		lists = lists[end:]
	}
	gcm := algorithms.FastCiphers()
	has := func(list []string) bool {
		return slices.ContainsFunc(list, func(name string) bool { return slices.Contains(gcm, name) })
	}
	if !has(offered[0]) || !has(offered[1]) {
		return nil
	}
	return gcm
}

// readVersion reads to the end of the line that begins with "SSH-", and returns
// that. It reads byte by byte: what follows is not its own.
func readVersion(r io.Reader) (version string, ok bool) {
	for range maxLines {
		var line []byte
		for len(line) < maxVersion && !bytes.HasSuffix(line, []byte("\n")) {
			var one [1]byte
			if _, err := io.ReadFull(r, one[:]); err != nil {
				return "", false
			}
			line = append(line, one[0])
		}
		if bytes.HasPrefix(line, []byte("SSH-")) {
			return strings.TrimRight(string(line), "\r\n"), bytes.HasSuffix(line, []byte("\n"))
		}
	}
	return "", false
}
