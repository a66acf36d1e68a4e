// Package network gives tests machines of their own as far as the network goes: network
// namespaces that a bridge joins, and that can be cut off from each other.
//
// The entry point is [New]. It promises that whoever is cut off is told nothing: what
// is sent is dropped, as behind a dead switch. It runs in the machine of the tests, as
// root, by ip(8) and bridge(8).
package network

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// T is what it needs of testing.T.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Network is a bridge, and what is joined by it.
type Network struct {
	number int32
	bridge string
	joined int
	// router is the address of the tests' machine, "" where that is not joined.
	router string
}

// Namespace is a network namespace with an address in its network, as a machine by
// itself has one. Loopback in it is its own.
type Namespace struct {
	Address string

	name string
	// port is its end at the bridge.
	port string
}

var networks atomic.Int32

// New makes a network of its own, which is gone with t.
func New(t T) *Network {
	t.Helper()
	number := networks.Add(1)
	n := &Network{number: number, bridge: fmt.Sprintf("net%d", number)}
	ip(t, "link add %s type bridge", n.bridge)
	t.Cleanup(func() { ip(t, "link delete %s", n.bridge) })
	ip(t, "link set %s up", n.bridge)
	return n
}

// JoinMachine joins the machine of the tests. Namespaces that are made afterwards reach
// whatever listens there at an address that is no loopback one.
func (n *Network) JoinMachine(t T) {
	t.Helper()
	n.router = n.address(254)
	ip(t, "address add %s/24 dev %s", n.router, n.bridge)
}

func (n *Network) address(host int) string {
	return fmt.Sprintf("10.%d.%d.%d", n.number/250, 1+n.number%250, host)
}

// NewNamespace makes a namespace and joins it to the network. It is gone with t, as
// soon as what runs in it is.
func (n *Network) NewNamespace(t T) *Namespace {
	t.Helper()
	n.joined++
	s := &Namespace{name: fmt.Sprintf("n%d-%d", n.number, n.joined), Address: n.address(n.joined)}
	s.port = s.name + "-port"
	ip(t, "netns add %s", s.name)
	t.Cleanup(func() { ip(t, "netns delete %s", s.name) })
	ip(t, "link add %s type veth peer name eth0 netns %s", s.port, s.name)
	t.Cleanup(func() { ip(t, "link delete %s", s.port) })
	ip(t, "link set %s master %s up", s.port, n.bridge)
	ip(t, "-n %s link set lo up", s.name)
	ip(t, "-n %s link set eth0 up", s.name)
	ip(t, "-n %s address add %s/24 dev eth0", s.name, s.Address)
	if n.router != "" {
		ip(t, "-n %s route add default via %s", s.name, n.router)
	}
	return s
}

// Cut has the bridge drop what comes from the namespace and what goes to it. Nobody is
// told: the links stay up.
func (s *Namespace) Cut(t T) {
	t.Helper()
	const disabled = 0
	s.setPort(t, disabled)
}

// Mend undoes it.
func (s *Namespace) Mend(t T) {
	t.Helper()
	const forwarding = 3
	s.setPort(t, forwarding)
}

// setPort sets a port's state as bridge(8) numbers them.
func (s *Namespace) setPort(t T, state int) {
	t.Helper()
	run(t, "bridge", "link set dev %s state %d", s.port, state)
}

// Before are the words before those of a program by which it runs in the namespace, as
// the same process. Only root's programs can.
func (s *Namespace) Before() []string { return []string{"nsenter", "--net=/run/netns/" + s.name} }

// Command is [exec.Command] for root's program in the namespace, wherever it is started.
// In nil it is the machine's own network.
func (s *Namespace) Command(name string, args ...string) *exec.Cmd {
	if s == nil {
		return exec.Command(name, args...)
	}
	all := append(append(s.Before(), name), args...)
	return exec.Command(all[0], all[1:]...)
}

// Has says whether a process runs in the namespace. Nil has those that run where the first
// process does.
func (s *Namespace) Has(pid int) (bool, error) {
	place := "/proc/1/ns/net"
	if s != nil {
		place = "/run/netns/" + s.name
	}
	wanted, err := os.Stat(place)
	if err != nil {
		return false, fmt.Errorf("network namespace: %w", err)
	}
	found, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return false, fmt.Errorf("network namespace of process %d: %w", pid, err)
	}
	return os.SameFile(wanted, found), nil
}

// String is its name, for messages.
func (s *Namespace) String() string {
	if s == nil {
		return "of the first process"
	}
	return s.name
}

// Within does something in the namespace: programs that it starts run there, sockets
// that it makes are there. What it does on other goroutines is not, nor in subtests.
// Within nil it is the machine's own network.
func (s *Namespace) Within(t T, do func()) {
	t.Helper()
	if s == nil {
		do()
		return
	}
	// If it cannot go back, the thread ends with the goroutine.
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	defer here.Close()
	there, err := os.Open("/run/netns/" + s.name)
	if err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatalf("enter network namespace %s: %v", s.name, err)
	}
	defer func() {
		if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Errorf("leave network namespace %s: %v", s.name, err)
			return
		}
		runtime.UnlockOSThread()
	}()
	do()
}

func ip(t T, format string, values ...any) {
	t.Helper()
	run(t, "ip", format, values...)
}

// run runs a program with arguments that have no spaces in them.
func run(t T, program, format string, values ...any) {
	t.Helper()
	arguments := strings.Fields(fmt.Sprintf(format, values...))
	if output, err := exec.Command(program, arguments...).CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v: %s", program, arguments, err, output)
	}
}
