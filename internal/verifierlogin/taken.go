package verifierlogin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/wire"
)

// usualPatience is how long a verifier may take to take a login, which systemd may have to
// start first. There is nobody else to turn to.
const usualPatience = 10 * time.Second

// errNotTaken is about a verifier that hangs up on a login.
var errNotTaken = errors.New("it does not take this login: it is full, or has another configuration; its log may say more")

// taken opens the dialogue of a login that the verifier takes.
func (e *Engine) taken(ctx context.Context, start wire.Start) (net.Conn, error) {
	socket := e.Here.Config.Paths.Socket
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(e.patience, usualPatience))
	defer cancel()
	conn, err := connect(ctx, socket)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", socket, err)
	}
	if err := open(ctx, conn, start); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", socket, err)
	}
	return conn, nil
}

func open(ctx context.Context, conn net.Conn, start wire.Start) error {
	defer closeWith(ctx, conn)()
	// What became of it, the read below tells: that it hung up, or was too late.
	if err := wire.WriteStart(conn, start); err != nil && !errors.Is(err, unix.EPIPE) && ctx.Err() == nil {
		return err
	}
	var ready [1]byte
	_, err := io.ReadFull(conn, ready[:])
	switch {
	case ctx.Err() != nil:
		return errors.New("it did not answer in time")
	case err != nil || ready[0] != wire.Ready:
		return errNotTaken
	}
	return nil
}

// closeWith ends what is done with conn when ctx ends, until the function that it
// returns is called.
func closeWith(ctx context.Context, conn net.Conn) func() {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// connect connects to a verifier that is to be believed.
func connect(ctx context.Context, socket string) (net.Conn, error) {
	return daemon.ConnectUnix(ctx, socket, func(fd int) error { return genuine(fd, socket) })
}

// genuine is what resident.c of the front in C does: anybody else than root could stand
// in for the verifier. So the directory must be root's, or belong to whom root has put
// one there for, and who listens must be one of the two.
func genuine(fd int, socket string) error {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return fmt.Errorf("who listens there: %w", os.NewSyscallError("getsockopt", err))
	}
	var dir, above unix.Stat_t
	path := filepath.Dir(socket)
	// The parent as the kernel knows it: part of the path may be a link.
	if err := errors.Join(unix.Lstat(path, &dir), unix.Lstat(path+"/..", &above)); err != nil {
		return fmt.Errorf("who listens there: %s: %w", path, err)
	}
	byRoot := above.Uid == 0 && onlyOwnerWrites(above)
	if !onlyOwnerWrites(dir) || dir.Uid != 0 && dir.Uid != uint32(os.Geteuid()) && !byRoot || peer.Uid != 0 && peer.Uid != dir.Uid {
		return fmt.Errorf("expected a verifier of root's or of the directory's owner, and a directory that root has made and others cannot write; "+
			"found one of uid %d in a directory of mode %o of uid %d", peer.Uid, dir.Mode, dir.Uid)
	}
	return nil
}

func onlyOwnerWrites(info unix.Stat_t) bool {
	return info.Mode&unix.S_IFMT == unix.S_IFDIR && info.Mode&0o022 == 0
}
