package fronttest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// fakeVerifier is built into each kit, from fakeverifier.c.
const fakeVerifier = "fakeverifier"

// resident gives a copy of the kit in dir whose front asks a verifier that is
// running: the kit's core behind a socket. With beside the core can be forked
// too. The verifier ends with this process.
func (k *Kit) resident(dir string, beside bool) (*Kit, error) {
	own := *k
	own.Dir, own.Front, own.Core = dir, filepath.Join(dir, "pam_otpgate.so"), filepath.Join(dir, "pam_otpgate_core.so")
	own.Verifier = filepath.Join(dir, "verifier.sock")
	if err := os.Link(k.Front, own.Front); err != nil {
		return nil, err
	}
	if beside {
		if err := os.Link(k.Core, own.Core); err != nil {
			return nil, err
		}
	}
	var err error
	own.alive, err = k.listen(own.Verifier, k.Core, uint32(os.Geteuid()))
	return &own, err
}

// listen runs the fake verifier with that core as uid, until the result is
// closed or this process ends.
func (k *Kit) listen(path, core string, uid uint32) (io.Closer, error) {
	command := exec.Command(filepath.Join(k.Dir, fakeVerifier), path, core)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	// Nothing is ever written to it.
	alive, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	go func() { _ = command.Wait() }()
	if line != "listening\n" {
		return nil, fmt.Errorf("%s: expected it to listen, found %q: %w", command.Path, line, err)
	}
	return alive, nil
}

// answers says who does, in the words of the log.
func (k *Kit) answers() string {
	if k.Verifier == "off" {
		return "core"
	}
	return "verifier"
}
