package boot_test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inVM is for tests that boot a virtual machine: they take long.
var inVM = flag.Bool("vm", false, "boot a virtual machine")

// virtual is a virtual machine. Its power cut loses what its kernel had not
// written yet. Nothing of it reaches further than this program's loopback.
type virtual struct {
	dir     string   // disk, kernel, and the socket of its channel
	kernel  []string // more of the kernel's command line
	clock   string   // at the boot, in QEMU's form; empty is the right time
	booted  int
	qemu    *exec.Cmd
	ended   chan struct{}
	channel net.Conn
	replies *bufio.Reader
	number  int
}

// Without KVM a processor is emulated, at a fortieth of the speed, and this may
// be beside others' work.
func (*virtual) patience() time.Duration { return 20 * time.Minute }

// newVirtual makes the disk. It does not start the machine yet.
func newVirtual(t *testing.T, kernel ...string) *virtual {
	t.Helper()
	suite := os.Getenv("SUITE")
	if suite == "" {
		suite = "bookworm"
	}
	// In memory it would be in the way.
	dir, err := os.MkdirTemp("/var/tmp", "otpgate-vm-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	v := &virtual{dir: dir, kernel: kernel}
	started := time.Now()
	if output, err := exec.Command("./image", suite, dir+"/disk").CombinedOutput(); err != nil {
		t.Fatalf("make the disk: %v\n%s", err, output)
	}
	t.Logf("the disk of a Debian (%s) was made in %v", suite, time.Since(started).Round(time.Second))
	// TestMain's namespaces have a /dev of their own.
	if _, err := os.Stat("/sys/class/misc/kvm"); err == nil {
		if err := unix.Mknod("/dev/kvm", unix.S_IFCHR|0o600, int(unix.Mkdev(10, 232))); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatalf("make /dev/kvm: %v", err)
		}
	}
	t.Cleanup(func() { v.cut(t) })
	return v
}

// serverPort is where a port of the machine is reached.
func serverPort(port int) int { return 20000 + port }

func (v *virtual) boot(t *testing.T) {
	t.Helper()
	started := time.Now()
	v.booted++
	socket := v.dir + "/channel"
	console := fmt.Sprintf("%s/console-%d", v.dir, v.booted)
	forward := "user,id=net,restrict=on"
	for _, port := range []int{22, 2022} {
		forward += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", serverPort(port), port)
	}
	clock := "base=utc"
	if v.clock != "" {
		clock = "base=" + v.clock
	}
	v.qemu = exec.Command("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-accel", "kvm", "-accel", "tcg,thread=multi",
		"-cpu", "max", "-smp", "2", "-m", "1024", "-rtc", clock, "-no-reboot",
		"-kernel", v.dir+"/disk.kernel", "-initrd", v.dir+"/disk.initrd",
		"-append", strings.Join(append([]string{"root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off quiet"}, v.kernel...), " "),
		"-drive", "file="+v.dir+"/disk,format=raw,if=virtio,cache=unsafe",
		"-netdev", forward, "-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci",
		"-serial", "file:"+console,
		"-device", "virtio-serial-pci", "-chardev", "socket,id=channel,path="+socket+",server=on,wait=off", "-device", "virtserialport,chardev=channel,name=otpgate")
	said, err := os.Create(v.dir + "/qemu")
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	v.qemu.Stdout, v.qemu.Stderr = said, said
	v.qemu.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := v.qemu.Start(); err != nil {
		t.Fatalf("start QEMU: %v; run packaging/deps vm", err)
	}
	v.ended = make(chan struct{})
	go func() { _ = v.qemu.Wait(); close(v.ended) }()
	until(t, v, "QEMU's socket", func() bool {
		v.channel, err = net.Dial("unix", socket)
		return err == nil || v.over()
	})
	if v.over() {
		text, _ := os.ReadFile(v.dir + "/qemu")
		t.Fatalf("QEMU ended: %v\n%s", v.qemu.ProcessState, text)
	}
	v.replies = bufio.NewReader(v.channel)
	if _, err := v.script("true"); err != nil {
		text, _ := os.ReadFile(console)
		t.Fatalf("the machine does not answer: %v\n%s", err, text)
	}
	t.Logf("start %d: it answered after %v", v.booted, time.Since(started).Round(time.Second))
}

func (v *virtual) over() bool {
	select {
	case <-v.ended:
		return true
	default:
		return false
	}
}

func (v *virtual) cut(t *testing.T) {
	t.Helper()
	if v.qemu == nil {
		return
	}
	if err := v.qemu.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	v.gone()
}

func (v *virtual) gone() {
	<-v.ended
	_ = v.channel.Close()
	v.qemu = nil
}

func (v *virtual) off(t *testing.T) {
	t.Helper()
	if output, err := v.script("systemctl --no-block poweroff"); err != nil {
		t.Logf("systemctl poweroff: %v: %s", err, output) // it may be gone before it has answered
	}
	select {
	case <-v.ended:
	case <-time.After(v.patience()):
		t.Fatal("the machine does not shut down")
	}
	v.gone()
}

// script speaks with ./guest. What the machine did not read before its shell was
// there waits in the channel.
func (v *virtual) script(text string) (string, error) {
	v.number++
	if err := v.channel.SetDeadline(time.Now().Add(v.patience())); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(v.channel, "%d %s\n", v.number, base64.StdEncoding.EncodeToString([]byte(text))); err != nil {
		return "", err
	}
	for {
		line, err := v.replies.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("the channel to the virtual machine: %w", err)
		}
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != strconv.Itoa(v.number) {
			continue // of a script that was given up
		}
		var output []byte
		if len(fields) > 2 {
			if output, err = base64.StdEncoding.DecodeString(fields[2]); err != nil {
				return "", err
			}
		}
		if fields[1] != "0" {
			return string(output), errors.New("exit status " + fields[1])
		}
		return string(output), nil
	}
}

// bring writes into the file system of a machine that is off.
func (v *virtual) bring(t *testing.T, from, to string) {
	t.Helper()
	output, err := exec.Command("debugfs", "-w", "-R", fmt.Sprintf("write %s %s", from, to), v.dir+"/disk").CombinedOutput()
	if err != nil || strings.Contains(string(output), "failed") {
		t.Fatalf("copy %s: %v: %s", from, err, output)
	}
}

func (v *virtual) client(program string, port int, args ...string) *exec.Cmd {
	return exec.Command(program, slices.Concat(options(program, serverPort(port)), args)...)
}

// TestVM is the walk on a virtual machine, and what needs a clock.
func TestVM(t *testing.T) {
	if !*inVM {
		t.Log("nothing is done without -vm: see make vm")
		return
	}
	v := newVirtual(t)
	w := &walk{computer: v, deb: built(t)}
	w.install(t)
	t.Run("wrong clock", func(t *testing.T) { w.wrongClock(t, v) })
	w.steps(t)
}
