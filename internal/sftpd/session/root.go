package session

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// checkRoot refuses a root that /proc is mounted below: a worker has descriptors
// of what is outside, and /proc/self/fd leads through them. Whoever is locked in
// cannot mount anything.
func checkRoot(root string) error {
	if root == "/" {
		return nil
	}
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("sftp.root: %w", err)
	}
	defer file.Close()
	place, err := procBelow(root, file)
	if err == nil && place != "" {
		err = fmt.Errorf("%s is a mounted /proc, through which people get out; unmount it", place)
	}
	if err != nil {
		return fmt.Errorf("sftp.root: %w", err)
	}
	return nil
}

// procBelow finds a mount of the kind below root, or "", in what
// proc_pid_mountinfo(5) describes.
func procBelow(root string, mounts io.Reader) (place string, err error) {
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	root = strings.TrimSuffix(root, "/") + "/"
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		mount, source, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(mount)
		if len(fields) < 5 || !strings.HasPrefix(source, "proc ") {
			continue
		}
		if place := plain.Replace(fields[4]); strings.HasPrefix(place+"/", root) {
			return place, nil
		}
	}
	return "", lines.Err()
}
