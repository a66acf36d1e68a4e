package sftp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/sftp"
)

// The benchmarks run our server and OpenSSH's on pipes, with the same client:
// raw packets with 64 requests in flight, of 255 KiB as OpenSSH's client sends
// them to a server with limits@openssh.com, and of 32 KiB as others do. Files
// are on tmpfs. "cpu-ms/op" is the server's CPU time.
func BenchmarkServers(b *testing.B) {
	for _, size := range []int{255 << 10, 32 << 10} {
		name := fmt.Sprintf("%dKiB", size>>10)
		compare(b, "upload-1GiB-"+name, func(b *testing.B, p *peer, dir string) { upload(b, p, dir, 1<<30, size) })
		compare(b, "download-1GiB-"+name, func(b *testing.B, p *peer, dir string) { download(b, p, dir, 1<<30, size) })
	}
	compare(b, "put-5000", func(b *testing.B, p *peer, dir string) { putSmall(b, p, dir, 5000) })
	compare(b, "get-5000", func(b *testing.B, p *peer, dir string) { getSmall(b, p, dir, 5000) })
	compare(b, "list-20000", func(b *testing.B, p *peer, dir string) { list(b, p, dir, 20000) })
}

func compare(b *testing.B, name string, run func(b *testing.B, p *peer, dir string)) {
	for _, ours := range []bool{false, true} {
		server := "openssh"
		if ours {
			server = "ours"
		}
		b.Run(name+"/"+server, func(b *testing.B) {
			dir, err := os.MkdirTemp("/dev/shm", "otpgate-sftp")
			if err != nil {
				b.Fatal(err)
			}
			defer os.RemoveAll(dir)
			cpu := time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				cmd := command(ours, self, dir, "022", false)
				cmd.Env = append(cmd.Environ(), "GOMAXPROCS=1")
				p := start(b, cmd)
				p.ask(ext("limits@openssh.com"))
				run(b, p, dir)
				p.stop()
				cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
				b.StartTimer()
			}
			b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// pipeline sends n requests with at most 64 unanswered and counts the time.
func pipeline(b *testing.B, p *peer, n int, request func(i int) []byte, reply func(kind byte, body []byte) error) {
	b.Helper()
	b.StartTimer()
	defer b.StopTimer()
	slots := make(chan struct{}, 64)
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := range n {
			slots <- struct{}{}
			if _, err := p.in.Write(request(i)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	buf := make([]byte, 300<<10)
	for range n {
		if _, err := io.ReadFull(p.out, buf[:4]); err != nil {
			b.Fatal(err)
		}
		body := buf[:binary.BigEndian.Uint32(buf)]
		if _, err := io.ReadFull(p.out, body); err != nil {
			b.Fatal(err)
		}
		if err := reply(body[0], body[5:]); err != nil {
			b.Fatal(err)
		}
		<-slots
	}
	sending.Wait()
}

func wantStatus(kind byte, body []byte) error {
	if kind != fxStatus || binary.BigEndian.Uint32(body) != 0 {
		return fmt.Errorf("type %d %x", kind, body)
	}
	return nil
}

func upload(b *testing.B, p *peer, dir string, size, chunk int) {
	path := filepath.Join(dir, "up")
	p.ask(pkt(fxOpen, path, opWrite|opCreate|opTrunc, noAttrs))
	request := encode(pkt(fxWrite, opened(0), uint64(0), string(make([]byte, chunk))), 1, p.handles)
	offset := 9 + 4 + len(p.handles[0])
	pipeline(b, p, size/chunk, func(i int) []byte {
		binary.BigEndian.PutUint64(request[offset:], uint64(i*chunk))
		return request
	}, wantStatus)
	b.SetBytes(int64(size))
	p.ask(pkt(fxClose, opened(0)))
	if err := os.Remove(path); err != nil {
		b.Fatal(err)
	}
}

func download(b *testing.B, p *peer, dir string, size, chunk int) {
	path := filepath.Join(dir, "down")
	if _, err := os.Stat(path); err != nil {
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	p.ask(pkt(fxOpen, path, opRead, noAttrs))
	n := size / chunk
	got := 0
	pipeline(b, p, n, func(i int) []byte {
		return encode(pkt(fxRead, opened(0), uint64(i*chunk), uint32(chunk)), 1, p.handles)
	}, func(kind byte, body []byte) error {
		if kind != fxData {
			return fmt.Errorf("type %d %x", kind, body)
		}
		got += len(body) - 4
		return nil
	})
	if got != n*chunk {
		b.Fatalf("%d bytes, expected %d", got, n*chunk)
	}
	b.SetBytes(int64(size))
}

// putSmall does for each file what OpenSSH's client does, one after the other.
func putSmall(b *testing.B, p *peer, dir string, n int) {
	data := string(make([]byte, 4096))
	b.StartTimer()
	for i := range n {
		p.handles = p.handles[:0]
		p.ask(pkt(fxOpen, filepath.Join(dir, fmt.Sprint("put", i)), opWrite|opCreate|opTrunc, withMode(0o644)))
		p.ask(pkt(fxWrite, opened(0), uint64(0), data))
		if kind, body := p.ask(pkt(fxClose, opened(0))); wantStatus(kind, body) != nil {
			b.Fatal(kind, body)
		}
	}
	b.StopTimer()
}

func getSmall(b *testing.B, p *peer, dir string, n int) {
	fill(b, dir, n, 4096)
	b.StartTimer()
	for i := range n {
		p.handles = p.handles[:0]
		path := filepath.Join(dir, fmt.Sprint("some-file-", i))
		p.ask(pkt(fxStat, path))
		p.ask(pkt(fxOpen, path, opRead, noAttrs))
		if kind, _ := p.ask(pkt(fxRead, opened(0), uint64(0), uint32(32<<10))); kind != fxData {
			b.Fatal(kind)
		}
		p.ask(pkt(fxRead, opened(0), uint64(4096), uint32(32<<10)))
		p.ask(pkt(fxClose, opened(0)))
	}
	b.StopTimer()
}

func fill(b testing.TB, dir string, n, size int) {
	b.Helper()
	for i := range n {
		path := filepath.Join(dir, fmt.Sprint("some-file-", i))
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

func list(b *testing.B, p *peer, dir string, n int) {
	fill(b, dir, n, 0)
	b.StartTimer()
	defer b.StopTimer()
	p.ask(pkt(fxOpendir, dir))
	for got := 0; ; {
		kind, body := p.ask(pkt(fxReaddir, opened(0)))
		if kind == fxStatus {
			if got != n+2 {
				b.Fatalf("%d names, expected %d", got, n+2)
			}
			return
		}
		got += int(binary.BigEndian.Uint32(body))
	}
}

// BenchmarkRequest is the engine alone: requests that cost nothing to do.
func BenchmarkRequest(b *testing.B) {
	for name, request := range map[string]packet{"stat": pkt(fxStat, "some/path"), "unknown handle": pkt(fxWrite, "12345678", zero64, "x")} {
		b.Run(name, func(b *testing.B) {
			input := bytes.Repeat(packets(request), b.N)
			b.ReportAllocs()
			b.ResetTimer()
			s := struct {
				io.Reader
				io.Writer
			}{io.MultiReader(bytes.NewReader(initPacket), bytes.NewReader(input)), io.Discard}
			if err := sftp.Serve(context.Background(), s, fake{}, sftp.Options{}); err != nil {
				b.Fatal(err)
			}
		})
	}
}
