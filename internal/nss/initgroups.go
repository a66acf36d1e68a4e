package nss

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>
*/
import "C"

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// A service that cannot list one person's groups (libnss-extrausers is one) is
// gone through by the C library, group by group, with a place in the list that is
// the process's own. Two such questions at once take the process down, and one at
// a time would have everybody wait for the slowest. Where a service is of that
// kind, this process asks one, and getent(1) the others beside it.
func initgroups(name string, gid uint32) ([]uint32, error) {
	walks, err := switches.walk()
	if err != nil {
		return nil, err
	}
	switch {
	case !walks:
		return getgrouplist(name, gid)
	case !walking.TryLock():
		return getent(name, gid)
	}
	defer walking.Unlock()
	return getgrouplist(name, gid)
}

// walking is held by who goes through all groups in this process.
var walking sync.Mutex

const getentPath = "/usr/bin/getent"

func getent(name string, gid uint32) ([]uint32, error) {
	ctx, cancel := context.WithTimeout(context.Background(), groups.patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, getentPath, "initgroups", "--", name)
	cmd.Env = []string{"LC_ALL=C"}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s initgroups: %w", getentPath, err)
	}
	rest, ok := strings.CutPrefix(strings.TrimSuffix(string(out), "\n"), name)
	if !ok || rest != "" && rest[0] != ' ' {
		return nil, fmt.Errorf("%s initgroups: expected the name and numbers, found %.40q", getentPath, out)
	}
	gids := []uint32{gid}
	for field := range strings.FieldsSeq(rest) {
		id, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%s initgroups: %w", getentPath, err)
		}
		if uint32(id) != gid {
			gids = append(gids, uint32(id))
		}
	}
	return gids, nil
}

// nameSwitch is what is known of /etc/nsswitch.conf.
type nameSwitch struct {
	path string

	mu    sync.Mutex
	known bool
	size  int64
	time  time.Time
	walks bool
}

var switches = nameSwitch{path: "/etc/nsswitch.conf"}

// walk says whether some service for groups has to be gone through.
func (s *nameSwitch) walk() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // files alone then
	}
	if err != nil {
		return false, err
	}
	if s.known && s.size == info.Size() && s.time.Equal(info.ModTime()) {
		return s.walks, nil
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return false, err
	}
	s.known, s.size, s.time, s.walks = true, info.Size(), info.ModTime(), false
	for _, service := range groupServices(data) {
		s.walks = s.walks || !listsGroups(service)
	}
	return s.walks, nil
}

// ServicesOf lists the name services that nsswitch.conf(5), whose text is data, names
// for a database such as passwd.
func ServicesOf(data []byte, database string) (found []string) {
	for line := range bytes.Lines(data) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		name, services, _ := bytes.Cut(line, []byte(":"))
		if string(bytes.TrimSpace(name)) == database {
			found = servicesOf(string(services))
		}
	}
	return found
}

// groupServices are those that nsswitch.conf(5) names for a person's groups.
func groupServices(data []byte) []string {
	if found := ServicesOf(data, "initgroups"); found != nil {
		return found
	}
	return ServicesOf(data, "group")
}

// servicesOf leaves out what is in brackets, which may have spaces in it.
func servicesOf(text string) []string {
	var plain strings.Builder
	for text != "" {
		before, rest, found := strings.Cut(text, "[")
		plain.WriteString(before + " ")
		if !found {
			break
		}
		_, text, _ = strings.Cut(rest, "]")
	}
	return strings.Fields(plain.String())
}

// listsGroups says whether a service can list one person's groups. One that
// cannot be loaded is not asked by the C library either.
func listsGroups(service string) bool {
	if service == "files" {
		return true
	}
	library := C.CString("libnss_" + service + ".so.2")
	defer C.free(unsafe.Pointer(library))
	handle := C.dlopen(library, C.RTLD_LAZY)
	if handle == nil {
		return true
	}
	// It stays loaded, as the C library loads it too.
	symbol := C.CString("_nss_" + service + "_initgroups_dyn")
	defer C.free(unsafe.Pointer(symbol))
	return C.dlsym(handle, symbol) != nil
}
