package main

import (
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/authkeys"
	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// serveKeys answers which keys let the person in.
func serveKeys(conn *packet.Conn, spec talk.Spec, buffer []byte) error {
	for {
		n, fds, err := conn.Receive(buffer)
		packet.CloseAll(fds)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r := packet.NewReader(buffer[:n])
		op, key, remote, authority := r.U8(), r.Blob(), r.Text(), r.Bool()
		if err := r.Done(); err != nil || op != talk.WorkerKey {
			return packet.ErrMalformed
		}
		addr, err := netip.ParseAddr(remote)
		if err != nil {
			return err
		}
		grant, found, problem := find(spec, authkeys.Login{Key: key, Remote: addr, Now: time.Now(), Authority: authority})
		var w packet.Writer
		w.U8(talk.WorkerGrant).Bool(found).Bool(grant.NoTouch).Bool(grant.Verify).Texts(grant.Principals).Text(problem)
		if err := conn.Send(w.Bytes); err != nil {
			return err
		}
	}
}

// find looks into the person's files in turn. What stands in the way of one is
// for the log.
func find(spec talk.Spec, login authkeys.Login) (_ authkeys.Grant, found bool, problem string) {
	for _, path := range spec.KeyFiles {
		file, err := authkeys.Open(authkeys.Place(path, spec.Home), spec.Home)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				problem = err.Error()
			}
			continue
		}
		if grant, found := authkeys.Find(file, login); found {
			return grant, true, ""
		}
	}
	return authkeys.Grant{}, false, problem
}
