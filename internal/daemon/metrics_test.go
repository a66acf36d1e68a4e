package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Connections that ask for nothing take few descriptors, and those who ask get
// an answer once they are gone.
func TestReadersAreFew(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "metrics")
	stop, err := ServeMetrics("unix:"+socket, func(w io.Writer) error {
		_, err := io.WriteString(w, "things_total 3\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	const idle = 60
	before := descriptors(t)
	var conns []net.Conn
	for range idle {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	if taken := descriptors(t) - before - idle; taken > maxReaders {
		t.Errorf("%d descriptors are taken, at most %d are for readers", taken, maxReaders)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	web := &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer web.CloseIdleConnections()
	response, err := web.Get("http://program/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || string(text) != "things_total 3\n" || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%q, %v, %v", text, response.Header, err)
	}
	if _, err := ServeMetrics("unix:"+socket, nil); err == nil || !strings.Contains(err.Error(), "somebody is already listening there") {
		t.Errorf("at a place that is taken: %v", err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Anybody on the machine may read them, as slowly as he likes: what counts logins is
// not held up.
func TestMetricsReadByNobody(t *testing.T) {
	address := "unix:" + filepath.Join(t.TempDir(), "metrics")
	done := make(chan error, 1)
	stop, err := ServeMetrics(address, func(w io.Writer) error {
		_, err := w.Write(make([]byte, 16<<20))
		done <- err
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	conn, err := net.Dial("unix", strings.TrimPrefix(address, "unix:"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: machine\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// A write to the reader would fail once its time is over.
	if err := <-done; err != nil {
		t.Errorf("it waited for the reader: %v", err)
	}
}

// pipes is a listener at which somebody waits always.
type pipes struct{ net.Listener }

func (pipes) Accept() (net.Conn, error) {
	conn, _ := net.Pipe()
	return conn, nil
}

func (pipes) Close() error { return nil }

// Each connection has one of few places until it is closed, also twice, or until the
// listener is.
func TestLimitListener(t *testing.T) {
	few := newLimitListener(pipes{}, 2)
	accept := func() net.Conn {
		t.Helper()
		conn, err := few.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first, _ := accept(), accept()
	if len(few.open) != cap(few.open) {
		t.Fatalf("%d places are taken, expected both", len(few.open))
	}
	for range 2 {
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(few.open) != 1 {
		t.Fatalf("%d places are taken, expected one", len(few.open))
	}
	accept()
	ended := make(chan error)
	go func() {
		_, err := few.Accept()
		ended <- err
	}()
	if err := errors.Join(few.Close(), few.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a third one: %v", err)
	}
}
