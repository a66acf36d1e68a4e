package portalwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/safefile"
)

// served answers requests at a socket, and gives its path and what Serve returned.
func served(t *testing.T, answer func(context.Context, Request) (Answer, error)) (path string, ended chan error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "portal.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	ended = make(chan error, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { ended <- Serve(context.Background(), conn, answer) }()
		}
	}()
	return path, ended
}

func TestAskAndServe(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		request Request
		answer  Answer
	}{
		{Request{Op: Open, Remote: "192.0.2.1", Link: "abc"}, Answer{Page: &Page{State: "used", At: at, Name: "a…e"}}},
		{Request{Op: Begin, Link: "abc"}, Answer{Setup: &Setup{"v", "otpauth://", "ABCD", "phone", 6, 30, "SHA1", true, at}}},
		{Request{Op: Resume, BrowserSession: "v"}, Answer{Refused: "locked", Until: at}},
		{Request{Op: Confirm, BrowserSession: "v", First: "123456", Current: "654321"}, Answer{Enrolled: &Enrolled{"phone", true, []string{"a", "b"}, 2}}},
		{Request{Op: Confirm, BrowserSession: "v"}, Answer{Refused: "new-key", Setup: &Setup{BrowserSession: "v"}}},
		{Request{Op: AskLink, Manage: Manage{User: "alice"}}, Answer{Managed: &Managed{Asked: true}}},
		{Request{Op: OpenManage, Link: "abc"}, Answer{Page: &Page{State: "ready", At: at, Name: "a…e"}}},
		{Request{Op: Enter, Link: "abc", Current: "123456"}, Answer{Managed: &Managed{Entered: &Entered{"v", at, 2}}}},
		{Request{Op: Show, BrowserSession: "v"}, Answer{Managed: &Managed{Overview: &Overview{User: "alice", Ends: at, Devices: []Device{{ID: "phone"}}}}}},
		{Request{Op: Change, BrowserSession: "v", Manage: Manage{Do: Rename, ID: "phone", Name: "tablet"}}, Answer{Managed: &Managed{Done: &Done{Do: Rename}}}},
		{Request{Op: Change, BrowserSession: "v", Current: "123456", Manage: Manage{Do: Recovery}}, Answer{Managed: &Managed{Done: &Done{Recovery, []string{"a"}}}}},
	} {
		var got Request
		path, ended := served(t, func(_ context.Context, request Request) (Answer, error) {
			got = request
			return test.answer, nil
		})
		answer, err := Ask(t.Context(), path, test.request)
		if served := <-ended; err != nil || served != nil {
			t.Fatal(err, served)
		}
		if !reflect.DeepEqual(got, test.request) || !reflect.DeepEqual(answer, test.answer) {
			t.Errorf("got %#v and %#v for %#v", got, answer, test.request)
		}
	}
}

// Whatever the page sends that is no request gets no answer, and is not looked at.
func TestNoRequest(t *testing.T) {
	path, ended := served(t, func(context.Context, Request) (Answer, error) {
		t.Error("it is answered")
		return Answer{}, nil
	})
	const good = `{"op":"open","remote":"","link":"abc"}`
	for name, text := range map[string]string{
		"nothing": "", "half": good[:10], "no end": good, "two": good + good + "\n", "behind": good + "\nx\n",
		"unknown name": `{"op":"open","link":"abc","user":"alice"}` + "\n", "unknown op": `{"op":"list","link":"abc"}` + "\n",
		"too much": `{"op":"open","link":"` + strings.Repeat("a", MaxMessage) + `"}` + "\n",
		"no link":  `{"op":"begin"}` + "\n", "a visit": `{"op":"begin","link":"abc","visit":"v"}` + "\n",
		"a code": `{"op":"resume","visit":"v","first":"1"}` + "\n", "no visit": `{"op":"confirm","first":"1"}` + "\n",
		"no name": `{"op":"ask-link","remote":""}` + "\n", "a name and a link": `{"op":"ask-link","link":"abc","manage":{"user":"alice"}}` + "\n",
		"a name to open": `{"op":"open","link":"abc","manage":{"user":"alice"}}` + "\n", "no link to enter": `{"op":"enter","current":"1"}` + "\n",
		"a code to show": `{"op":"show","visit":"v","current":"1"}` + "\n", "nothing to change": `{"op":"change","visit":"v"}` + "\n",
		"an unknown change": `{"op":"change","visit":"v","manage":{"do":"list"}}` + "\n", "a change of somebody": `{"op":"change","visit":"v","manage":{"do":"leave","user":"alice"}}` + "\n",
		"a code too much": `{"op":"change","visit":"v","current":"1","manage":{"do":"rename","id":"a","name":"b"}}` + "\n",
		"a list":          "[]\n", "null": "null\n", "a word": "open\n",
	} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		// The other side may have had enough before all is written.
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.UnixConn).CloseWrite()
		answer, _ := io.ReadAll(conn)
		conn.Close()
		if err := <-ended; err == nil || len(answer) > 0 {
			t.Errorf("%s: answered %q, %v", name, answer, err)
		} else if strings.Contains(err.Error(), "abc") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Ask(t.Context(), path, Request{Op: Open}); err == nil {
		t.Error("the page may ask what it cannot be answered")
	}
}

func TestNoAnswer(t *testing.T) {
	request := Request{Op: Open, Link: "abc"}
	fails := errors.New("disk")
	for name, answer := range map[string]struct {
		Answer
		error
	}{
		"two of somebody enrolled": {Answer{Managed: &Managed{Asked: true, Done: &Done{}}}, nil}, "none of somebody enrolled": {Answer{Managed: &Managed{}, Refused: "used"}, nil},
		"error": {Answer{Page: &Page{}}, fails}, "empty": {}, "two": {Answer{Page: &Page{}, Refused: "used"}, nil}} {
		path, ended := served(t, func(context.Context, Request) (Answer, error) { return answer.Answer, answer.error })
		got, err := Ask(t.Context(), path, request)
		if served := <-ended; err == nil || served == nil || !reflect.DeepEqual(got, Answer{}) || errors.Is(served, fails) != (answer.error != nil) {
			t.Errorf("%s: %v, %v, %v", name, got, err, served)
		}
	}
}

// Where nobody listens, or nobody does any more, the admin is told what does.
func TestNobodyListens(t *testing.T) {
	left := filepath.Join(t.TempDir(), "left.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	for _, path := range []string{left, filepath.Join(t.TempDir(), "absent")} {
		_, err := Ask(t.Context(), path, Request{Op: Open, Link: "abc"})
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "; systemctl enable --now otpgate-verifierd-portal.socket starts it") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Who does not get an answer gives up when its caller does, and so does the other side
// when the connection is not used.
func TestGivesUp(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	ended, cancelled := context.WithCancel(t.Context())
	cancelled()
	if err := Serve(ended, here, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	asked, leave := make(chan bool), make(chan bool)
	path, _ := served(t, func(context.Context, Request) (Answer, error) {
		close(asked)
		<-leave
		return Answer{}, nil
	})
	defer close(leave)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := Ask(ctx, path, Request{Op: Open, Link: "abc"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Patience is made of what a Confirm waits for, which this package must not import.
func TestPatience(t *testing.T) {
	settings, err := config.Parse("otpgate.toml", []byte("[ledger]\netcd = ['http://127.0.0.1:2379']\n"))
	if err != nil {
		t.Fatal(err)
	}
	if fileLock != safefile.LockPatience || ledgerTimeout != settings.Ledger.Timeout.Duration {
		t.Errorf("a file's lock is waited for %v, and the ledger %v", safefile.LockPatience, settings.Ledger.Timeout)
	}
}

// asking is a connection on which a request has come, and all of it.
type asking struct {
	net.Conn
	io.Reader
}

func (a asking) Read(to []byte) (int, error) { return a.Reader.Read(to) }

// Whatever was done is answered, however late that was done and whoever wants to end.
func TestLateAnswer(t *testing.T) {
	for name, end := range map[string]bool{"late": false, "late, and the service ends": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				here, there := net.Pipe()
				defer there.Close()
				ended := make(chan error, 1)
				go func() {
					request := strings.NewReader(`{"op":"confirm","remote":"","visit":"v"}` + "\n")
					ended <- Serve(ctx, asking{here, request}, func(ctx context.Context, _ Request) (Answer, error) {
						if end {
							stop()
						}
						<-ctx.Done()
						<-time.After(time.Minute) // of the bubble's clock; a slow disk knows of no context
						return Answer{Enrolled: &Enrolled{ID: "phone", RecoveryCodes: []string{"a"}}}, nil
					})
				}()
				var answer Answer
				if err := receive(there, &answer); err != nil || answer.Enrolled == nil {
					t.Errorf("no answer: %v", err)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Whoever sends no request, or takes no answer, holds nobody up for long.
func TestSilentPage(t *testing.T) {
	for name, request := range map[string]string{"no request": "", "no answer taken": `{"op":"open","remote":"","link":"abc"}` + "\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				defer there.Close()
				var conn net.Conn = here
				if request != "" {
					conn = asking{here, strings.NewReader(request)}
				}
				end := time.Now().Add(Transfer) // by the bubble's clock, which stands while anything is done
				err := Serve(t.Context(), conn, func(context.Context, Request) (Answer, error) { return Answer{Refused: "used"}, nil })
				if now := time.Now(); !errors.Is(err, os.ErrDeadlineExceeded) || !now.Equal(end) {
					t.Errorf("ended at %v, expected %v: %v", now, end, err)
				}
			})
		})
	}
}

func TestPrintedShowsNothing(t *testing.T) {
	const secret = "hush"
	setup := Setup{BrowserSession: secret, URI: secret, Key: secret, ID: "phone"}
	enrolled := Enrolled{ID: "phone", RecoveryCodes: []string{secret}}
	for _, message := range []any{
		Request{Op: Begin, Link: secret, BrowserSession: secret, First: secret, Current: secret}, setup, &setup, enrolled, &enrolled,
		Answer{Setup: &setup}, Answer{Enrolled: &enrolled}, &Answer{Setup: &setup},
		Answer{Managed: &Managed{Entered: &Entered{BrowserSession: secret}}}, Managed{Entered: &Entered{BrowserSession: secret}}, Entered{BrowserSession: secret}, &Entered{BrowserSession: secret},
		Done{RecoveryCodes: []string{secret}}, &Managed{Done: &Done{RecoveryCodes: []string{secret}}},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
			if text := fmt.Sprintf(verb, message); strings.Contains(text, secret) {
				t.Errorf("%s shows %s", verb, text)
			}
		}
	}
}
