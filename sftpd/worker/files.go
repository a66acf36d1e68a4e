package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// localNames are what /etc/passwd and /etc/group say, opened before a chroot
// hid them. Most ids are there, and no other process has to be asked.
type localNames struct {
	passwd, group *os.File
	once          sync.Once
	names         map[question]string
}

func openLocalNames() *localNames {
	l := &localNames{}
	// A machine may do without the files.
	l.passwd, _ = os.Open("/etc/passwd")
	l.group, _ = os.Open("/etc/group")
	return l
}

// load reads the files when a name is first asked for.
func (l *localNames) load() {
	l.names = map[question]string{}
	eachLine(l.passwd, 7, func(fields []string) {
		l.add(question{messages.HomeOfUser, fields[0]}, fields[5])
		l.addID(messages.NameOfUser, fields)
	})
	eachLine(l.group, 4, func(fields []string) { l.addID(messages.NameOfGroup, fields) })
}

func (l *localNames) addID(kind uint8, fields []string) {
	if id, err := strconv.ParseUint(fields[2], 10, 32); err == nil && len(fields[0]) <= messages.MaxName {
		l.add(question{kind, strconv.FormatUint(id, 10)}, fields[0])
	}
}

// add keeps the first of several, as the C library does.
func (l *localNames) add(q question, answer string) {
	if _, known := l.names[q]; !known {
		l.names[q] = answer
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

func (l *localNames) answer(q question) string {
	l.once.Do(l.load)
	return l.names[q]
}
