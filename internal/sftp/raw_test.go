package sftp_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// The packets that the tests send and get.
const (
	fxInit, fxOpen, fxClose, fxRead, fxWrite          = 1, 3, 4, 5, 6
	fxLstat, fxFstat, fxSetstat, fxFsetstat           = 7, 8, 9, 10
	fxOpendir, fxReaddir, fxRemove, fxMkdir, fxRmdir  = 11, 12, 13, 14, 15
	fxRealpath, fxStat, fxRename, fxReadlink, fxSym   = 16, 17, 18, 19, 20
	fxStatus, fxHandle, fxData, fxName, fxAttrs       = 101, 102, 103, 104, 105
	fxExtended, fxExtendedReply                       = 200, 201
	opRead, opWrite, opAppend, opCreate, opTrunc, opX = uint32(1), uint32(2), uint32(4), uint32(8), uint32(16), uint32(32)
)

// packet is a type and fields: uint32, uint64, string (with its length), raw
// (without) and opened (the handle that the n-th OPEN or OPENDIR gave).
type packet struct {
	kind   byte
	fields []any
}

type (
	raw    string
	opened int
)

func pkt(kind byte, fields ...any) packet { return packet{kind, fields} }

func ext(name string, fields ...any) packet {
	return packet{fxExtended, append([]any{name}, fields...)}
}

// encode is a packet with its length.
func encode(p packet, id uint32, handles []string) []byte {
	b := []byte{0, 0, 0, 0, p.kind}
	if p.kind != fxInit {
		b = binary.BigEndian.AppendUint32(b, id)
	}
	for _, field := range p.fields {
		switch field := field.(type) {
		case uint32:
			b = binary.BigEndian.AppendUint32(b, field)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, field)
		case raw:
			b = append(b, field...)
		case opened:
			handle := "none"
			if int(field) < len(handles) {
				handle = handles[field]
			}
			b = binary.BigEndian.AppendUint32(b, uint32(len(handle)))
			b = append(b, handle...)
		case string:
			b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
			b = append(b, field...)
		default:
			panic(fmt.Sprintf("a field of type %T", field))
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// The attributes of a request.
const noAttrs = raw("\x00\x00\x00\x00")

func be32(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

func withMode(mode uint32) raw { return raw(be32(4) + be32(mode)) }
func withSize(size uint64) raw {
	return raw(be32(1) + string(binary.BigEndian.AppendUint64(nil, size)))
}
func withTimes(atime, mtime uint32) raw { return raw(be32(8) + be32(atime) + be32(mtime)) }
func withOwner(uid, gid uint32) raw     { return raw(be32(2) + be32(uid) + be32(gid)) }

// readReply reads one packet and gives its type and what follows the id.
func readReply(r io.Reader) (kind byte, id uint32, body []byte, err error) {
	var header [9]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, 0, nil, err
	}
	length := binary.BigEndian.Uint32(header[:])
	if length < 5 || length > 512<<10 {
		return 0, 0, nil, fmt.Errorf("a reply of %d bytes", length)
	}
	body = make([]byte, length-5)
	_, err = io.ReadFull(r, body)
	return header[4], binary.BigEndian.Uint32(header[5:]), body, err
}

// peer talks to a server that was started.
type peer struct {
	t       testing.TB
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     io.ReadCloser
	id      uint32
	handles []string
	stop    func() // ends the server and waits for it
}

func start(t testing.TB, cmd *exec.Cmd) *peer {
	t.Helper()
	p := &peer{t: t, cmd: cmd, id: 100}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if p.out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(5*time.Minute, func() { cmd.Process.Kill() })
	p.stop = sync.OnceFunc(func() {
		p.in.Close()
		_, _ = io.Copy(io.Discard, p.out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v: %s", cmd.Path, err, stderr.String())
		}
		timer.Stop()
	})
	t.Cleanup(p.stop)
	p.write(encode(pkt(fxInit, uint32(3)), 0, nil))
	if kind, version, _, err := readReply(p.out); err != nil || kind != 2 || version != 3 {
		t.Fatalf("%s: type %d, version %d, %v", cmd.Path, kind, version, err)
	}
	return p
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.in.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// ask sends a request and waits for its reply.
func (p *peer) ask(request packet) (kind byte, body []byte) {
	p.t.Helper()
	p.id++
	p.write(encode(request, p.id, p.handles))
	kind, id, body, err := readReply(p.out)
	if err != nil || id != p.id {
		p.t.Fatalf("reply to %v: id %d, expected %d, %v", request, id, p.id, err)
	}
	if kind == fxHandle {
		p.handles = append(p.handles, string(body[4:]))
	}
	return kind, body
}
