package transport

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/deliver"
)

// A mail server, or who stands before it and has no certificate to show yet,
// that never ends its line must not fill the memory of what all logins need.
func TestEndlessLineOfAMailServer(t *testing.T) {
	for name, greeting := range map[string]string{"the banner": "", "after EHLO": "220 mail\r\n"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					_, _ = conn.Write([]byte(greeting))
					chunk := []byte(strings.Repeat("220-"[:3]+"a", 16<<10))
					for {
						if _, err := conn.Write(chunk); err != nil {
							return
						}
					}
				}()
			}
		}()
		s, _ := newSender(t, "[email]\nsmtp = 'smtp://"+listener.Addr().String()+"'\nstarttls = 'off'\nfrom = 'otp@example.com'\ntimeout = '2s'\n")
		peak, done := uint64(0), make(chan struct{})
		go func() {
			defer close(done)
			_, err = s.Send(context.Background(), deliver.Message{Channel: deliver.Email, User: "alice", Email: message.Email, Code: message.Code})
		}()
		for running := true; running; {
			select {
			case <-done:
				running = false
			case <-time.After(20 * time.Millisecond):
			}
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapInuse)
		}
		if peak > 64<<20 || err == nil {
			t.Errorf("%s: %d MiB of memory, %.80v", name, peak>>20, err)
		}
	}
}

// An answer without an end is an answer: what it began with is shown.
func TestEndlessAnswer(t *testing.T) {
	plain, _, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, "no and no and "); err != nil {
				return
			}
		}
	}))
	s, _ := newSender(t, twilio(t, plain, ""))
	m := message
	m.Email = ""
	if _, err := s.Send(context.Background(), m); err == nil || !strings.Contains(err.Error(), "HTTP status 400: no and no") {
		t.Errorf("found %v", err)
	}
}
