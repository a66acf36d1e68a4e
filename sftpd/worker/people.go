package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// people knows the names of ids, from files that were opened before a chroot
// hid them. Without cgo there are no other name services here.
type people struct {
	spec          talk.Spec
	passwd, names *os.File
	once          sync.Once
	users, groups map[uint32]string
	homes         map[string]string
}

func openPeople(spec talk.Spec) *people {
	p := &people{spec: spec}
	// A machine may do without the files: ids then stay numbers.
	p.passwd, _ = os.Open("/etc/passwd")
	p.names, _ = os.Open("/etc/group")
	return p
}

// load reads the files when a name is first asked for.
func (p *people) load() {
	p.users, p.groups, p.homes = map[uint32]string{}, map[uint32]string{}, map[string]string{}
	eachLine(p.passwd, 7, func(fields []string) {
		p.homes[fields[0]] = fields[5]
		add(p.users, fields)
	})
	eachLine(p.names, 4, func(fields []string) { add(p.groups, fields) })
	p.users[p.spec.UID] = p.spec.User
}

func add(names map[uint32]string, fields []string) {
	id, err := strconv.ParseUint(fields[2], 10, 32)
	if _, known := names[uint32(id)]; err == nil && !known {
		names[uint32(id)] = fields[0]
	}
}

func eachLine(file *os.File, want int, do func(fields []string)) {
	if file == nil {
		return
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if fields := strings.Split(lines.Text(), ":"); len(fields) == want && fields[0] != "" {
			do(fields)
		}
	}
}

func (p *people) user(id uint32) string {
	p.once.Do(p.load)
	return p.users[id]
}

func (p *people) group(id uint32) string {
	p.once.Do(p.load)
	return p.groups[id]
}

// homeOf tells other people's homes only where they can be seen.
func (p *people) homeOf(user string) (string, error) {
	if user == "" || user == p.spec.User {
		return p.spec.Home, nil
	}
	p.once.Do(p.load)
	if home, found := p.homes[user]; found && p.spec.Root == "" {
		return home, nil
	}
	return "", syscall.ENOENT
}
