package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Inside, everything is at the same paths on every machine. The directories
// above belong to root, whoever owns the source tree. What a login looks at lies
// as deep as where it is installed: it looks at all directories on the way.
const (
	disk    = "/run/otpgate-bench" // build/bench
	sites   = "/mnt"               // its sites; /mnt/NAME/users is as deep as /etc/otpgate/users
	memory  = "/run/memory"        // no disk below
	sockets = "/run/sockets"
)

func mounts(dir string) error {
	if err := onDisk(dir); err != nil {
		return err
	}
	if err := makeDev(); err != nil {
		return err
	}
	// Opened before /run is covered, as the tree may lie below it.
	from, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs on /run: %w", err)
	}
	for _, made := range []string{disk, memory, sockets} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", from.Fd()), disk, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", dir, err)
	}
	if err := os.MkdirAll(disk+"/sites", 0o700); err != nil {
		return err
	}
	if err := unix.Mount(disk+"/sites", sites, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind the sites: %w", err)
	}
	return nil
}

// onDisk refuses a file system in memory: the ledger's writes, and those of
// the other modules, would cost nothing there.
func onDisk(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("look at the file system of %s: %w", dir, err)
	}
	if fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC {
		return fmt.Errorf("%s is in memory, expected a disk", dir)
	}
	return nil
}

// makeDev covers /dev, because /dev/log is to be the bench's own: without a
// listener there some modules write to the console instead, which is dear.
func makeDev() error {
	const draft = "/mnt"
	if err := unix.Mount("tmpfs", draft, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	for _, name := range []string{"null", "zero", "urandom", "random"} {
		if err := os.WriteFile(draft+"/"+name, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, draft+"/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind /dev/%s: %w", name, err)
		}
	}
	if err := unix.Mount(draft, "/dev", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("cover /dev: %w", err)
	}
	return nil
}

// recent are the last lines of the log.
var recent struct {
	sync.Mutex
	lines [512]string
	next  int
}

// drainLog stands for the machine's log: it takes every line, and keeps the
// last ones for whoever was not let in.
func drainLog() error {
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("listen to syslog: %w", err)
	}
	go func() {
		line := make([]byte, 64<<10)
		for {
			n, err := socket.Read(line)
			if err != nil {
				return
			}
			recent.Lock()
			recent.lines[recent.next%len(recent.lines)] = string(line[:n])
			recent.next++
			recent.Unlock()
		}
	}()
	return nil
}

// logged are the last lines about a user.
func logged(user string) string {
	time.Sleep(100 * time.Millisecond) // it may be on its way
	recent.Lock()
	defer recent.Unlock()
	var about strings.Builder
	for i := range recent.lines {
		if line := recent.lines[(recent.next+i)%len(recent.lines)]; strings.Contains(line, user) {
			about.WriteString("\n" + line)
		}
	}
	return about.String()
}
