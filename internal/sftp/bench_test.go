package sftp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/sftp"
)

// The benchmarks run our server and OpenSSH's on pipes, with the same client:
// raw packets with 64 requests in flight, of 255 KiB as OpenSSH's client sends
// them to a server with limits@openssh.com, and of 32 KiB as others do. Files
// are on tmpfs. Run it with -benchtime 9x: each row then has nine runs of each
// server, in turns.
func BenchmarkServers(b *testing.B) {
	for _, size := range []int{255 << 10, 32 << 10} {
		name := fmt.Sprintf("%dKiB", size>>10)
		compare(b, "upload-1GiB-"+name, func(b *testing.B, p *peer, dir string) time.Duration { return upload(b, p, dir, 1<<30, size) })
		compare(b, "download-1GiB-"+name, func(b *testing.B, p *peer, dir string) time.Duration { return download(b, p, dir, 1<<30, size) })
	}
	compare(b, "put-5000", func(b *testing.B, p *peer, dir string) time.Duration { return putSmall(b, p, dir, 5000) })
	compare(b, "get-5000", func(b *testing.B, p *peer, dir string) time.Duration { return getSmall(b, p, dir, 5000) })
	compare(b, "list-20000", func(b *testing.B, p *peer, dir string) time.Duration { return list(b, p, dir, 20000) })
}

// compare runs both servers in turns, b.N times each, and reports medians and
// the ratios of ours to OpenSSH's.
func compare(b *testing.B, name string, run func(b *testing.B, p *peer, dir string) time.Duration) {
	b.Run(name, func(b *testing.B) {
		dir, err := os.MkdirTemp("/dev/shm", "otpgate-sftp")
		if err != nil {
			b.Fatal(err)
		}
		defer os.RemoveAll(dir)
		var took, cpu [2][]float64
		for i := range 2 * b.N {
			server := (i + i/2) % 2
			cmd := command(server == 1, self, dir, "022", false)
			cmd.Env = append(cmd.Environ(), "GOMAXPROCS=1")
			p := start(b, cmd)
			p.ask(ext("limits@openssh.com"))
			took[server] = append(took[server], run(b, p, dir).Seconds()*1000)
			p.stop()
			cpu[server] = append(cpu[server], (cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Seconds()*1000)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(took[0]), "openssh-ms")
		b.ReportMetric(median(took[1]), "ours-ms")
		b.ReportMetric(median(took[1])/median(took[0]), "ratio")
		b.ReportMetric(median(cpu[1])/median(cpu[0]), "cpu-ratio")
	})
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// pipeline sends n requests with at most 64 unanswered and counts the time.
func pipeline(b *testing.B, p *peer, n int, request func(i int) []byte, reply func(kind byte, body []byte) error) time.Duration {
	b.Helper()
	begin := time.Now()
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
	return time.Since(begin)
}

func wantStatus(kind byte, body []byte) error {
	if kind != fxStatus || binary.BigEndian.Uint32(body) != 0 {
		return fmt.Errorf("type %d %x", kind, body)
	}
	return nil
}

func upload(b *testing.B, p *peer, dir string, size, chunk int) time.Duration {
	path := filepath.Join(dir, "up")
	p.ask(pkt(fxOpen, path, opWrite|opCreate|opTrunc, noAttrs))
	request := encode(pkt(fxWrite, opened(0), uint64(0), string(make([]byte, chunk))), 1, p.handles)
	offset := 9 + 4 + len(p.handles[0])
	took := pipeline(b, p, size/chunk, func(i int) []byte {
		binary.BigEndian.PutUint64(request[offset:], uint64(i*chunk))
		return request
	}, wantStatus)
	p.ask(pkt(fxClose, opened(0)))
	if err := os.Remove(path); err != nil {
		b.Fatal(err)
	}
	return took
}

func download(b *testing.B, p *peer, dir string, size, chunk int) time.Duration {
	path := filepath.Join(dir, "down")
	if _, err := os.Stat(path); err != nil {
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	p.ask(pkt(fxOpen, path, opRead, noAttrs))
	n := size / chunk
	got := 0
	took := pipeline(b, p, n, func(i int) []byte {
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
	return took
}

// putSmall does for each file what OpenSSH's client does, one after the other.
func putSmall(b *testing.B, p *peer, dir string, n int) time.Duration {
	data := string(make([]byte, 4096))
	begin := time.Now()
	for i := range n {
		p.handles = p.handles[:0]
		p.ask(pkt(fxOpen, filepath.Join(dir, fmt.Sprint("put", i)), opWrite|opCreate|opTrunc, withMode(0o644)))
		p.ask(pkt(fxWrite, opened(0), uint64(0), data))
		if kind, body := p.ask(pkt(fxClose, opened(0))); wantStatus(kind, body) != nil {
			b.Fatal(kind, body)
		}
	}
	return time.Since(begin)
}

func getSmall(b *testing.B, p *peer, dir string, n int) time.Duration {
	fill(b, dir, n, 4096)
	begin := time.Now()
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
	return time.Since(begin)
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

func list(b *testing.B, p *peer, dir string, n int) time.Duration {
	fill(b, dir, n, 0)
	begin := time.Now()
	p.ask(pkt(fxOpendir, dir))
	for got := 0; ; {
		kind, body := p.ask(pkt(fxReaddir, opened(0)))
		if kind == fxStatus {
			if got != n+2 {
				b.Fatalf("%d names, expected %d", got, n+2)
			}
			return time.Since(begin)
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
