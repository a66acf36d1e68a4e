package machine

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// watched is what a test might change on the real machine if a mount were
// missing. Directories are watched with all that is in them.
var watched = []string{
	"/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/subuid", "/etc/subgid", "/etc/hosts",
	"/etc/pam.d", "/etc/ssh", "/etc/sudoers", "/etc/sudoers.d", "/etc/otpgate", "/etc/vsftpd.conf", "/etc/apache2", "/etc/nginx", "/etc/dovecot", "/etc/freeradius",
	"/etc/exim4", "/etc/tinyproxy", "/run/exim4", "/run/tinyproxy", "/var/spool/exim4/input", "/var/log/exim4", "/var/log/tinyproxy",
	"/run/sshd", "/run/sudo", "/run/otpgate", "/run/vsftpd", "/run/apache2", "/run/dovecot", "/run/freeradius",
	"/var/log/apache2", "/var/log/nginx", "/var/lib/dovecot", "/var/lib/nginx", "/var/log/freeradius", "/var/lib/otpgate", "/var/lib/sudo", "/var/mail", "/dev/log", "/var/log/otpgate.log",
}

// state is what the real machine looks like: a line for each path.
type state map[string]string

func look() (state, error) {
	seen := state{}
	for _, top := range watched {
		err := filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return seen.add(path)
		})
		if err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("look at the machine: %w", err)
		}
	}
	// Homes are watched by name: they may be large and are in use.
	homes, err := os.ReadDir("/home")
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for _, home := range homes {
		seen["/home/"+home.Name()] = "there"
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	seen["mounts"] = fmt.Sprintf("%x", sha256.Sum256(mounts))
	return seen, nil
}

func (s state) add(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	raw, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("stat %s: no owner", path)
	}
	line := fmt.Sprintf("%v uid %d gid %d", info.Mode(), raw.Uid, raw.Gid)
	if info.Mode().IsRegular() {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		line += fmt.Sprintf(" changed %v sha256 %x", info.ModTime(), sha256.Sum256(data))
	}
	s[path] = line
	return nil
}

// differs names each path that is not the same.
func (s state) differs(after state) []string {
	var changed []string
	for path, was := range s {
		if now, there := after[path]; !there {
			changed = append(changed, path+" is gone")
		} else if now != was {
			changed = append(changed, path+": was "+was+", is "+now)
		}
	}
	for path := range after {
		if _, there := s[path]; !there {
			changed = append(changed, path+" is new")
		}
	}
	slices.Sort(changed)
	return changed
}

// processesIn lists the processes in a PID namespace.
func processesIn(namespace string) []string {
	links, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		return nil
	}
	var found []string
	for _, link := range links {
		// A process that ends meanwhile has no link any more.
		if target, err := os.Readlink(link); err == nil && target == namespace {
			found = append(found, link)
		}
	}
	return found
}
