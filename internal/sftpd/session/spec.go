package session

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// SpecOf is what the person's worker is to be.
func SpecOf(user string, p *Person, settings config.SFTP) (messages.Spec, error) {
	s := messages.Spec{User: user, UID: p.UID, GID: p.GID, Groups: p.Groups, Home: p.Home, Umask: math.MaxUint32,
		ReadOnly: settings.ReadOnly, AllowRoot: settings.AllowRoot, Shared: settings.Worker == config.PerUser, Deny: settings.Deny.Texts()}
	if settings.Umask.Set {
		s.Umask = settings.Umask.Mask
	}
	if settings.Root == "" {
		s.Start = config.Expand(settings.StartDirectory, user, s.Home)
		return s, nil
	}
	s.Root = filepath.Clean(config.Expand(settings.Root, user, p.Home))
	// As in sshd: whoever can write the root, or above it, can leave it.
	dir, err := safefile.OpenDir(s.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("sftp.root: %w; make it with install -d -m 755 %s, see docs/sftpd.md", err, s.Root)
	}
	if err != nil {
		return s, fmt.Errorf("sftp.root: %w", err)
	}
	defer dir.Close()
	if err := checkRoot(s.Root); err != nil {
		return s, err
	}
	s.Home = homeBelow(s.Root, p.Home)
	s.Start = config.Expand(settings.StartDirectory, user, s.Home)
	return s, nil
}

// homeBelow is the home directory as seen below root.
func homeBelow(root, home string) string {
	if home == root {
		return "/"
	}
	if inside, found := strings.CutPrefix(home, root+"/"); found {
		return "/" + inside
	}
	return home
}

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
