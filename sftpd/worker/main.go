// Command worker uses one person's files, with that person's uid, gid and
// groups, for the fronts of sftpd.
//
// It is built without cgo and links no network, as one is started for a login.
// It is started as root and is the person before it answers anything: package
// confine says how. It ends when the broker has hung up and no session is left.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp/deny"
	"github.com/otpgate/otpgate/internal/sftp/local"
	"github.com/otpgate/otpgate/internal/sftpd/confine"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/monitor"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/workerfiles"
)

// The connections to the broker, and to the login process, which knows names.
const (
	brokerFD = 3
	loginFD  = 4
)

func main() {
	signal.Ignore(unix.SIGPIPE) // who reads the standard error may be gone, and sessions go on
	conn, err := seqpacket.New(brokerFD)
	var login *seqpacket.Conn
	if err == nil {
		login, err = seqpacket.New(loginFD)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "otpgate-sftpd-worker: it is started by otpgate-sftpd:", err)
		os.Exit(2)
	}
	if err := run(conn, login); err != nil {
		fmt.Fprintln(os.Stderr, "otpgate-sftpd-worker:", err)
		os.Exit(1)
	}
}

// buffer takes the broker's messages; what is not used of it takes no memory.
var buffer [seqpacket.MaxSize]byte

func run(conn, login *seqpacket.Conn) error {
	n, fds, err := conn.Receive(buffer[:])
	seqpacket.CloseAll(fds)
	if err != nil {
		return err
	}
	r := fields.NewReader(buffer[:n])
	spec := messages.ReadSpec(r)
	if err := r.Done(); err != nil {
		return err
	}
	return serveFiles(conn, login, spec)
}

func become(spec messages.Spec) error {
	if spec.Umask <= 0o777 {
		unix.Umask(int(spec.Umask))
	}
	return confine.Become(confine.Identity{
		UID: spec.UID, GID: spec.GID, Groups: spec.Groups, KeepGroups: spec.InheritGroups, Root: spec.Root, Home: spec.Home,
	}, spec.AllowRoot)
}

// monitorSlack is half of how long a slow file of one session holds up the others. A
// worker of one connection has nobody else to serve.
func monitorSlack(spec messages.Spec) time.Duration {
	if spec.Shared {
		return time.Millisecond
	}
	return 50 * time.Millisecond
}

// begin enters the directory where paths begin, with the person's rights, and
// tells the broker if it cannot: the person is in all the same.
func begin(conn *seqpacket.Conn, start string) error {
	if start == "" {
		return nil
	}
	problem := ""
	if err := os.Chdir(start); err != nil {
		problem = err.Error()
	}
	var w fields.Writer
	return conn.Send(w.Text(problem).Bytes)
}

func serveFiles(conn, login *seqpacket.Conn, spec messages.Spec) error {
	patterns, err := deny.Parse(spec.Deny)
	if err != nil {
		return err
	}
	// These open what a chroot hides.
	people := newPeople(spec, login)
	files, err := local.New(local.Options{
		ReadOnly: spec.ReadOnly, Deny: patterns, HomeOf: people.homeOf, User: people.user, Group: people.group,
	})
	if err != nil {
		return err
	}
	monitor.Slow(monitorSlack(spec))
	if err := become(spec); err != nil {
		return err
	}
	if err := begin(conn, spec.Start); err != nil {
		return err
	}
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		n, fds, err := conn.Receive(buffer[:])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if n != 1 || buffer[0] != messages.WorkerSession || len(fds) != 1 {
			seqpacket.CloseAll(fds)
			return fields.ErrMalformed
		}
		session, err := seqpacket.New(fds[0])
		if err != nil {
			return err
		}
		sessions.Go(func() {
			if err := errors.Join(workerfiles.Serve(session, files), session.Close()); err != nil {
				fmt.Fprintln(os.Stderr, "otpgate-sftpd-worker:", err)
			}
		})
	}
}
