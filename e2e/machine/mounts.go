package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// devices are what daemons and clients open. /dev is made anew because
// /dev/log must be the machine's own, and devtmpfs is one for everybody.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// mounts puts private mounts over whatever a test may change. A copy of /etc
// works everywhere; overlayfs does not.
func mounts(files string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := tmpfs("/run", "mode=755"); err != nil {
		return err
	}
	if err := CopyTree(files, Files); err != nil {
		return err
	}
	// What users run or load must be readable; the original is private.
	if err := os.Chmod(Files, 0o755); err != nil {
		return err
	}
	if err := copyFront(); err != nil {
		return err
	}
	if err := CopyTree("/etc/pam.d", stockServices); err != nil {
		return err
	}
	for _, dir := range []string{Root + "/tmp", Root + "/bin", "/run/sshd", namespaces} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := shareNamespaces(); err != nil {
		return err
	}
	if err := replaceWithCopy("/etc"); err != nil {
		return err
	}
	// Each login would start these programs, and they say nothing that a test looks at.
	if err := os.RemoveAll("/etc/update-motd.d"); err != nil {
		return err
	}
	if err := makeDev(); err != nil {
		return err
	}
	for _, dir := range []string{"/home", "/var/lib", "/var/log"} {
		if err := tmpfs(dir, "mode=755"); err != nil {
			return err
		}
	}
	if err := tmpfs("/var/mail", "mode=775"); err != nil {
		return err
	}
	if err := ownTmp(); err != nil {
		return err
	}
	return writeHosts()
}

// namespaces is where ip-netns(8) keeps network namespaces.
const namespaces = "/run/netns"

// shareNamespaces does what the first ip does there. Two that were the first at once
// would hide what the other has made.
func shareNamespaces() error {
	if err := unix.Mount(namespaces, namespaces, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", namespaces, err)
	}
	if err := unix.Mount("", namespaces, "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("share %s: %w", namespaces, err)
	}
	return nil
}

func copyFront() error {
	if err := os.MkdirAll(filepath.Dir(FrontAlone), 0o755); err != nil {
		return err
	}
	front, err := os.ReadFile(Module)
	if err != nil {
		return err
	}
	return os.WriteFile(FrontAlone, front, 0o644)
}

func tmpfs(dir, options string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", dir, err)
	}
	return nil
}

// replaceWithCopy puts a copy of dir in a tmpfs over it.
func replaceWithCopy(dir string) error {
	draft := Root + "/draft"
	if err := os.Mkdir(draft, 0o755); err != nil {
		return err
	}
	if err := tmpfs(draft, "mode=755"); err != nil {
		return err
	}
	if err := CopyTree(dir, draft); err != nil {
		return err
	}
	return move(draft, dir)
}

func move(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move mount %s to %s: %w", from, to, err)
	}
	return os.Remove(from)
}

// CopyTree copies what is in from. Files whose modes forbid it cannot be
// missing: root reads them all.
func CopyTree(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	if output, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s to %s: %w: %s", from, to, err, output)
	}
	return nil
}

// makeMisc makes /dev/fuse and /dev/net/tun, which everybody may open, as udev
// does. Where that does not run they are root's.
func makeMisc(dev string) error {
	const major, fuse, tun = 10, 229, 200
	if err := os.Mkdir(dev+"/net", 0o755); err != nil {
		return err
	}
	for name, minor := range map[string]uint32{"fuse": fuse, "net/tun": tun} {
		node := filepath.Join(dev, name)
		if err := unix.Mknod(node, unix.S_IFCHR, int(unix.Mkdev(major, minor))); err != nil {
			return fmt.Errorf("make /dev/%s: %w", name, err)
		}
		if err := os.Chmod(node, 0o666); err != nil {
			return err
		}
	}
	return nil
}

func makeDev() error {
	draft := Root + "/draft"
	if err := os.Mkdir(draft, 0o755); err != nil {
		return err
	}
	if err := tmpfs(draft, "mode=755"); err != nil {
		return err
	}
	for _, name := range devices {
		node := filepath.Join(draft, name)
		if err := os.WriteFile(node, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, node, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind /dev/%s: %w", name, err)
		}
	}
	if err := makeMisc(draft); err != nil {
		return err
	}
	for _, link := range [][2]string{
		{"pts/ptmx", "ptmx"}, {"/proc/self/fd", "fd"}, {"fd/0", "stdin"}, {"fd/1", "stdout"}, {"fd/2", "stderr"},
	} {
		if err := os.Symlink(link[0], filepath.Join(draft, link[1])); err != nil {
			return err
		}
	}
	for _, dir := range []string{"pts", "shm"} {
		if err := os.Mkdir(filepath.Join(draft, dir), 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("devpts", draft+"/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5"); err != nil {
		return fmt.Errorf("mount devpts: %w", err)
	}
	if err := tmpfs(draft+"/shm", "mode=1777"); err != nil {
		return err
	}
	return move(draft, "/dev")
}

// writeHosts gives the machine's own name an address: sudo looks it up.
func writeHosts() error {
	const hosts = "127.0.0.1 localhost machine\n::1 localhost\n"
	if err := os.WriteFile("/etc/hosts", []byte(hosts), 0o644); err != nil {
		return err
	}
	// A resolver that is out of reach would only cost time.
	if err := os.Remove("/etc/resolv.conf"); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile("/etc/resolv.conf", nil, 0o644)
}

func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	return nil
}
