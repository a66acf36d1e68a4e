package sftpwire

import (
	"errors"
	"strings"
	"syscall"
)

// Status is the code of a STATUS reply, and an error of its own.
type Status uint32

// The codes that are used; the draft has two more, which are the client's.
const (
	StatusOK               Status = 0
	StatusEOF              Status = 1
	StatusNoSuchFile       Status = 2
	StatusPermissionDenied Status = 3
	StatusFailure          Status = 4
	StatusBadMessage       Status = 5
	StatusUnsupported      Status = 8
)

// Error is the text that OpenSSH's server sends with the code.
func (code Status) Error() string {
	switch code {
	case StatusOK:
		return "Success"
	case StatusEOF:
		return "End of file"
	case StatusNoSuchFile:
		return "No such file"
	case StatusPermissionDenied:
		return "Permission denied"
	case StatusBadMessage:
		return "Bad message"
	case StatusUnsupported:
		return "Operation unsupported"
	}
	return "Failure"
}

// StatusOf is the code for an error, as OpenSSH's server chooses it, and the
// text. Where the code says no more than that it failed, the text is the
// system's: a full disk and a used up quota are told. That something is there
// already is not: programs look for OpenSSH's "Failure" then.
func StatusOf(err error) (Status, string) {
	if err == nil {
		return StatusOK, StatusOK.Error()
	}
	var code Status
	if errors.As(err, &code) {
		return code, code.Error()
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return StatusFailure, StatusFailure.Error()
	}
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.EBADF, syscall.ELOOP:
		code = StatusNoSuchFile
	case syscall.EPERM, syscall.EACCES, syscall.EFAULT:
		code = StatusPermissionDenied
	case syscall.ENAMETOOLONG, syscall.EINVAL:
		code = StatusBadMessage
	case syscall.ENOSYS:
		code = StatusUnsupported
	case syscall.EEXIST:
		code = StatusFailure
	default:
		text := errno.Error()
		return StatusFailure, strings.ToUpper(text[:1]) + text[1:]
	}
	return code, code.Error()
}

// IsAnswer says whether the peer is told err and the session goes on.
func IsAnswer(err error) bool {
	var code Status
	var errno syscall.Errno
	return err == nil || errors.As(err, &code) || errors.As(err, &errno)
}
