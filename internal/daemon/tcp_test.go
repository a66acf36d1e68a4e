package daemon

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Without descriptors connections wait, the admin is told, and then they are taken.
func TestAcceptWithoutDescriptors(t *testing.T) {
	listeners, err := ListenTCP("gateway.listen", []string{"127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	address := listeners[0].Addr().String()
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	var faults []string
	taken, ended := make(chan *net.TCPConn, 1), make(chan struct{})
	go func() {
		defer close(ended)
		AcceptTCP(listeners[0], func(conn *net.TCPConn) { taken <- conn }, func(reason string) {
			faults = append(faults, reason)
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
				t.Error(err)
			}
		})
	}()
	(<-taken).Close()
	listeners[0].Close()
	<-ended
	if len(faults) != 1 || !strings.HasSuffix(faults[0], "too many open files; connections wait") {
		t.Errorf("the admin is told %q", faults)
	}
}

// An address that cannot be listened on is said with its key.
func TestListenTCPInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := ListenTCP("gateway.listen", []string{taken.Addr().String()}); err == nil || !strings.HasPrefix(err.Error(), "gateway.listen: ") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("%v", err)
	}
}
