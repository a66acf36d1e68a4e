package nss

/*
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/types.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

// An entry is read into a buffer that grows up to maxEntry. The list of a large
// group's members takes most: a million names of 20 bytes have room.
const (
	firstBuffer = 4 << 10
	maxEntry    = 64 << 20
	maxGroups   = 1 << 16 // the kernel's own limit, NGROUPS_MAX
)

// entry calls get with larger and larger buffers, then read with what is in the
// last one. found is false only where the C library says so: it returns 0 and no
// entry.
func entry(call string, get func(buffer *C.char, size C.size_t) (code C.int, found bool), read func()) (found bool, err error) {
	for size := firstBuffer; size <= maxEntry; size *= 4 {
		again, found, err := entryIn(size, call, get, read)
		if !again {
			return found, err
		}
	}
	return false, fmt.Errorf("%s: an entry of more than %d bytes", call, maxEntry)
}

func entryIn(size int, call string, get func(buffer *C.char, size C.size_t) (code C.int, found bool), read func()) (again, found bool, err error) {
	buffer := C.malloc(C.size_t(size))
	defer C.free(buffer)
	for range interruptions {
		code, found := get((*C.char)(buffer), C.size_t(size))
		switch {
		case code == C.int(syscall.EINTR):
			continue
		case code == C.int(syscall.ERANGE):
			return true, false, nil
		case code != 0:
			return false, false, fmt.Errorf("%s: the name service did not answer: %w", call, syscall.Errno(code))
		case found:
			read()
		}
		return false, found, nil
	}
	return false, false, fmt.Errorf("%s: interrupted %d times", call, interruptions)
}

const interruptions = 8

// errName is the error for a name that C cannot be given.
var errName = errors.New("a name with a zero byte in it")

func getpwnam(name string) (u User, found bool, err error) {
	if strings.ContainsRune(name, 0) {
		return User{}, false, errName
	}
	wanted := C.CString(name)
	defer C.free(unsafe.Pointer(wanted))
	return passwd("getpwnam_r", func(p *C.struct_passwd, buffer *C.char, size C.size_t, result **C.struct_passwd) C.int {
		return C.getpwnam_r(wanted, p, buffer, size, result)
	})
}

func getpwuid(uid uint32) (u User, found bool, err error) {
	return passwd("getpwuid_r", func(p *C.struct_passwd, buffer *C.char, size C.size_t, result **C.struct_passwd) C.int {
		return C.getpwuid_r(C.uid_t(uid), p, buffer, size, result)
	})
}

func passwd(call string, ask func(p *C.struct_passwd, buffer *C.char, size C.size_t, result **C.struct_passwd) C.int) (u User, found bool, err error) {
	p := (*C.struct_passwd)(C.calloc(1, C.sizeof_struct_passwd))
	defer C.free(unsafe.Pointer(p))
	result := (**C.struct_passwd)(C.calloc(1, C.size_t(unsafe.Sizeof(p))))
	defer C.free(unsafe.Pointer(result))
	found, err = entry(call, func(buffer *C.char, size C.size_t) (C.int, bool) {
		code := ask(p, buffer, size, result)
		return code, *result != nil
	}, func() {
		u = User{C.GoString(p.pw_name), uint32(p.pw_uid), uint32(p.pw_gid), C.GoString(p.pw_dir)}
	})
	return u, found, err
}

func getgrnam(name string, members []string) (l listing, found bool, err error) {
	if strings.ContainsRune(name, 0) {
		return listing{}, false, errName
	}
	wanted := C.CString(name)
	defer C.free(unsafe.Pointer(wanted))
	return group("getgrnam_r", members, func(g *C.struct_group, buffer *C.char, size C.size_t, result **C.struct_group) C.int {
		return C.getgrnam_r(wanted, g, buffer, size, result)
	})
}

func group(call string, members []string, ask func(g *C.struct_group, buffer *C.char, size C.size_t, result **C.struct_group) C.int) (l listing, found bool, err error) {
	g := (*C.struct_group)(C.calloc(1, C.sizeof_struct_group))
	defer C.free(unsafe.Pointer(g))
	result := (**C.struct_group)(C.calloc(1, C.size_t(unsafe.Sizeof(g))))
	defer C.free(unsafe.Pointer(result))
	found, err = entry(call, func(buffer *C.char, size C.size_t) (C.int, bool) {
		code := ask(g, buffer, size, result)
		return code, *result != nil
	}, func() {
		l = listing{Group{C.GoString(g.gr_name), uint32(g.gr_gid)}, lists(g, members)}
	})
	return l, found, err
}

// lists says whether the group's own list has one of the names.
func lists(g *C.struct_group, names []string) bool {
	if len(names) == 0 || g.gr_mem == nil {
		return false
	}
	for at := unsafe.Pointer(g.gr_mem); ; at = unsafe.Add(at, unsafe.Sizeof(g.gr_name)) {
		member := *(**C.char)(at)
		if member == nil {
			return false
		}
		// A copy is made of those alone that may be it.
		first := byte(*member)
		if slices.ContainsFunc(names, func(name string) bool { return name != "" && name[0] == first }) && slices.Contains(names, C.GoString(member)) {
			return true
		}
	}
}

// lost are errors that tell, behind a list of groups, that a service failed. The
// C library passes none on, but leaves the last one in errno. Others stand there
// after a good list too: ENOENT of a service that is not set up or has no more.
var lost = []syscall.Errno{
	syscall.EAGAIN, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.EIO, syscall.EMFILE, syscall.ENETUNREACH,
	syscall.ENFILE, syscall.ENOMEM, syscall.EPIPE, syscall.ETIMEDOUT,
}

// getgrouplist lists the groups of somebody in this process.
func getgrouplist(name string, gid uint32) ([]uint32, error) {
	if strings.ContainsRune(name, 0) {
		return nil, errName
	}
	who := C.CString(name)
	defer C.free(unsafe.Pointer(who))
	for room := 64; ; {
		count := C.int(room)
		gids := make([]C.gid_t, room)
		done, err := C.getgrouplist(who, C.gid_t(gid), &gids[0], &count)
		if errno, ok := errors.AsType[syscall.Errno](err); ok && slices.Contains(lost, errno) {
			return nil, fmt.Errorf("getgrouplist: the name service did not answer: %w", errno)
		}
		if done >= 0 && int(count) <= room {
			found := make([]uint32, count)
			for i := range found {
				found[i] = uint32(gids[i])
			}
			return found, nil
		}
		if int(count) <= room || room >= maxGroups {
			return nil, fmt.Errorf("getgrouplist: %d groups, expected at most %d", count, room)
		}
		room = min(int(count)+16, maxGroups)
	}
}
