// Package machine gives tests and the demo a private machine to break: the
// program runs itself again in namespaces of its own, where /etc, /home, /run,
// /tmp, /dev, /var/lib, /var/log and /var/mail are copies or empty, the network is a
// loopback, and every process ends with the program.
//
// The entry point is [Run]; inside, [NewPerson] makes people, [NewSite] a
// configuration, [Open] drives a client on a terminal, and [Log] has what was
// sent to syslog. The servers are in e2e/hosts. It promises that the real machine is the same afterwards,
// and checks so at the end of every run. It never skips: without root or
// namespaces it fails and says what is missing.
package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/otpgate/otpgate/internal/testprogram"
)

// Root is where the private machine keeps what it made for itself.
const Root = "/run/otpgate-machine"

// Files is where the machine finds what Prepare made and a copy of the build.
const Files = Root + "/files"

// Module is the front under test; its core lies beside it.
const Module = Files + "/pam_otpgate.so"

// stageVariable tells a program that runs itself again what it is now.
const stageVariable = "OTPGATE_MACHINE_STAGE"

// filesVariable names the directory of the real machine that becomes Files.
const filesVariable = "OTPGATE_MACHINE_FILES"

// Run makes the machine and calls inside in it. prepare, if there is one, runs
// before that on the real machine and fills a directory that the machine finds
// at Files. Run returns the program's exit status.
func Run(prepare func(dir string) error, inside func() int) int {
	var status int
	var err error
	switch os.Getenv(stageVariable) {
	case "":
		status, err = outside(prepare)
	case "init":
		status, err = firstProcess()
	case "inside":
		status, err = within(inside)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "machine:", err)
		return 1
	}
	return status
}

// outside is the stage on the real machine.
func outside(prepare func(dir string) error) (int, error) {
	if os.Geteuid() != 0 {
		return 0, fmt.Errorf("running as uid %d, expected root: a private machine needs its own namespaces and mounts (run it with sudo)", os.Geteuid())
	}
	before, err := look()
	if err != nil {
		return 0, err
	}
	files, err := os.MkdirTemp("", "otpgate-machine-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(files)
	if err := copyBuild(files); err != nil {
		return 0, err
	}
	if prepare != nil {
		if err := prepare(files); err != nil {
			return 0, fmt.Errorf("prepare: %w", err)
		}
	}
	status, err := runPrivately(files)
	if err != nil {
		return 0, err
	}
	after, err := look()
	if err != nil {
		return 0, err
	}
	if changed := before.differs(after); len(changed) > 0 {
		return 0, fmt.Errorf("the real machine is not as it was before:\n  %s", strings.Join(changed, "\n  "))
	}
	return status, nil
}

// runPrivately starts the next stage as process 1 of new namespaces and waits
// for it. When that process ends, the kernel ends all the others.
func runPrivately(files string) (int, error) {
	// Pdeathsig is about the thread that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), stageVariable+"=init", filesVariable+"="+files)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("cannot make private namespaces: %w; expected root with CAP_SYS_ADMIN (in a container: --privileged)", err)
	}
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", cmd.Process.Pid))
	if err != nil {
		namespace = "gone already"
	}
	// Who interrupts the program must not leave its files behind.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(interrupts)
	go func() {
		if _, interrupted := <-interrupts; interrupted {
			_ = cmd.Process.Kill()
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if left := processesIn(namespace); len(left) > 0 {
		return 0, fmt.Errorf("processes %v outlived the private machine", left)
	}
	if !cmd.ProcessState.Exited() {
		return 0, fmt.Errorf("the private machine ended by %v", cmd.ProcessState)
	}
	return cmd.ProcessState.ExitCode(), nil
}

// firstProcess is process 1: it makes the mounts, starts the program proper
// and buries whatever loses its parent.
func firstProcess() (int, error) {
	if err := mounts(os.Getenv(filesVariable)); err != nil {
		return 0, err
	}
	if err := loopbackUp(); err != nil {
		return 0, err
	}
	if err := syscall.Sethostname([]byte("machine")); err != nil {
		return 0, fmt.Errorf("set host name: %w", err)
	}
	child, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env:   environment(),
		Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return 0, fmt.Errorf("start within the machine: %w", err)
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return 0, fmt.Errorf("wait: %w", err)
		}
		if pid == child && status.Exited() {
			return status.ExitStatus(), nil
		}
		if pid == child && status.Signaled() {
			return 0, fmt.Errorf("the program ended by %v", status.Signal())
		}
	}
}

// environment is a plain one, so that nothing the developer has set changes a
// result. What begins with GO is for the test binary itself, and so is the
// build's place.
func environment() []string {
	environment := []string{
		stageVariable + "=inside", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "TMPDIR=" + Root + "/tmp",
	}
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "GO") || strings.HasPrefix(variable, "OTPGATE_BUILD=") {
			environment = append(environment, variable)
		}
	}
	return environment
}

func within(inside func() int) (int, error) {
	heedSignals()
	if err := os.Unsetenv(stageVariable); err != nil {
		return 0, err
	}
	if err := Log.listen(); err != nil {
		return 0, err
	}
	go watchArguments()
	return inside(), nil
}

// built is what a build makes.
var built = []string{"pam_otpgate.so", "pam_otpgate_core.so", "otpctl", "otpgate-verifierd", "otpgate-gateway", "otpgate-ledgerd", "otpgate-portal", "otpgate-send",
	"otpgate-sftpd", "otpgate-sftpd-front", "otpgate-sftpd-login", "otpgate-sftpd-worker"}

// copyBuild copies the build under test, so that the machine sees one build
// from start to end, in files that only root can write.
func copyBuild(to string) error {
	from := os.Getenv("OTPGATE_BUILD")
	if from == "" {
		root, err := moduleRoot()
		if err != nil {
			return err
		}
		from = filepath.Join(root, "build")
	}
	for _, name := range built {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return fmt.Errorf("expected a build of %s: %w; run make build, or set OTPGATE_BUILD to its directory", name, err)
		}
		if err := testprogram.Write(filepath.Join(to, name), data); err != nil {
			return err
		}
	}
	return nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no go.mod above the working directory: expected to run in the source tree")
}

// heedSignals has the programs of the tests end by Ctrl-C as they do for
// people. What a shell starts in the background is told to ignore it, and so
// would be all that it starts.
func heedSignals() {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s) // a handler is not inherited, and nor is what it replaced
		}
	}
}
