package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// server is one of those that are compared.
type server struct {
	name  string
	port  int
	pid   int
	group group
	done  float64 // units of work that the last figure is of
}

// tree is a process and all below it.
func tree(pid int) []int {
	all := []int{pid}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return all
	}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		if more, err := os.ReadFile(task); err == nil && !strings.Contains(task, fmt.Sprintf("task/%d/", pid)) {
			text = append(append(text, ' '), more...)
		}
	}
	for _, child := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(child); err == nil {
			all = append(all, tree(n)...)
		}
	}
	return all
}

// pss is the memory of the server in KiB, shared pages divided.
func (s *server) pss() float64 {
	total := 0.0
	for _, pid := range tree(s.pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "Pss:" {
				n, _ := strconv.ParseFloat(fields[1], 64)
				total += n
			}
		}
	}
	return total
}

func (b *bench) makeKey() error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	b.key = machine.Root + "/tmp/key"
	home := "/home/" + b.person.Name + "/.ssh"
	return errors.Join(os.WriteFile(b.key, pem.EncodeToMemory(block), 0o600), os.MkdirAll(home, 0o700),
		os.WriteFile(home+"/authorized_keys", ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o600), b.own())
}

func (b *bench) own() error {
	return exec.Command("chown", "-R", b.person.Name, "/home/"+b.person.Name).Run()
}

func (b *bench) signer() (ssh.Signer, error) {
	text, err := os.ReadFile(b.key)
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(text)
}

// giveCode has the server remember a code.
func (b *bench) giveCode(s *hosts.SFTPD) error {
	signer, err := b.signer()
	if err != nil {
		return err
	}
	code := b.person.Code(b, 0)
	client, err := b.dial(s.Port, ssh.PublicKeys(signer), ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		if len(questions) == 0 {
			return nil, nil
		}
		return []string{code}, nil
	}))
	if err != nil {
		return fmt.Errorf("give a code: %w", err)
	}
	return client.Close()
}

func (b *bench) dial(port int, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	// Nobody is remembered at 127.0.0.1.
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(b.person.Address)}, Timeout: time.Minute}
	plain, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	conn, channels, requests, err := ssh.NewClientConn(plain, address, &ssh.ClientConfig{
		User: b.person.Name, Auth: methods, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// sftp runs OpenSSH's client and returns the seconds it took.
func (b *bench) sftp(s *server, options []string, commands ...string) (float64, error) {
	file := machine.Root + "/tmp/commands"
	if err := os.WriteFile(file, []byte(strings.Join(commands, "\n")+"\n"), 0o644); err != nil {
		return 0, err
	}
	args := []string{"-q", "-F", "none", "-P", strconv.Itoa(s.port), "-i", b.key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityAgent=none", "-o", "BindAddress=" + b.person.Address, "-b", file}
	for _, option := range options {
		args = append(args, "-o", option)
	}
	cmd := exec.Command("sftp", append(args, b.person.Name+"@127.0.0.1")...)
	began := time.Now()
	output, err := cmd.CombinedOutput()
	took := time.Since(began).Seconds()
	if err != nil {
		return 0, fmt.Errorf("sftp: %w: %s", err, clip(output))
	}
	return took, nil
}

func clip(output []byte) []byte { return output[:min(len(output), 500)] }

func (b *bench) rows() []row {
	gcm, chacha := []string{"Ciphers=aes128-gcm@openssh.com"}, []string{"Ciphers=chacha20-poly1305@openssh.com"}
	local := machine.Root + "/tmp/local"
	up := func(options []string) func(*server) (float64, error) {
		return func(s *server) (float64, error) {
			defer os.Remove(b.dir + "/up")
			return b.sftp(s, options, "put "+b.dir+"/big "+b.dir+"/up")
		}
	}
	down := func(options []string) func(*server) (float64, error) {
		return func(s *server) (float64, error) {
			defer os.Remove(local)
			return b.sftp(s, options, "get "+b.dir+"/big "+local)
		}
	}
	return []row{
		{name: "big up, aes128-gcm", unit: "s", goal: both(0.60), cpuGoal: both(0.60), times: up(gcm)},
		{name: "big down, aes128-gcm", unit: "s", goal: both(0.85), cpuGoal: both(0.65), times: down(gcm)},
		{name: "big up, client's defaults", unit: "s", goal: both(0.55), times: up(nil)},
		{name: "big down, client's defaults", unit: "s", goal: both(0.70), times: down(nil)},
		{name: "big up, chacha20 only", unit: "s", goal: both(1.3), times: up(chacha)},
		{name: "big down, chacha20 only", unit: "s", goal: both(1.3), times: down(chacha)},
		{name: "small up, sftp", unit: "s", goal: both(1.0), times: func(s *server) (float64, error) {
			defer os.RemoveAll(b.dir + "/up")
			return b.sftp(s, gcm, "mkdir "+b.dir+"/up", "put "+b.dir+"/small/* "+b.dir+"/up/")
		}},
		{name: "small down, sftp", unit: "s", goal: both(1.0), times: func(s *server) (float64, error) {
			defer os.RemoveAll(local)
			return b.sftp(s, gcm, "get -r "+b.dir+"/small "+local)
		}},
		{name: "small up, rclone", unit: "s", goal: both(0.75), times: func(s *server) (float64, error) {
			defer os.RemoveAll(b.dir + "/up")
			return b.rclone(s, b.dir+"/small", "r:"+b.dir+"/up")
		}},
		{name: "small down, rclone", unit: "s", goal: both(0.75), times: func(s *server) (float64, error) {
			defer os.RemoveAll(local)
			return b.rclone(s, "r:"+b.dir+"/small", local)
		}},
		{name: "ls -la", unit: "s", goal: both(0.5), times: func(s *server) (float64, error) {
			return b.sftp(s, gcm, "ls -la "+b.dir+"/many")
		}},
		{name: "login, sftp client", unit: "s", goal: both(0.25), times: b.login},
		{name: "logins a second", unit: "/s", more: true, goal: pair{4, 9}, times: b.loginsInParallel},
		{name: "memory per idle session", unit: "KiB", goal: pair{0.40, 0.08}, times: b.idle},
		{name: "parallel down", unit: "MiB/s", more: true, goal: both(1.6), cpuGoal: both(0.45), times: b.parallel},
	}
}

func (b *bench) login(s *server) (float64, error) {
	total := 0.0
	for range b.plan.logins {
		took, err := b.sftp(s, nil, "pwd")
		if err != nil {
			return 0, err
		}
		total += took
	}
	return total / float64(b.plan.logins), nil
}

func (b *bench) loginsInParallel(s *server) (float64, error) {
	signer, err := b.signer()
	if err != nil {
		return 0, err
	}
	var done atomic.Int64
	var failed atomic.Value
	began := time.Now()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for time.Since(began) < b.plan.loginsInParallel {
				client, err := b.dial(s.port, ssh.PublicKeys(signer))
				if err != nil {
					failed.Store(err)
					return
				}
				files, err := sftp.NewClient(client)
				if err != nil {
					failed.Store(err)
					return
				}
				_ = files.Close()
				_ = client.Close()
				done.Add(1)
			}
		})
	}
	all.Wait()
	if err, bad := failed.Load().(error); bad {
		return 0, err
	}
	s.done = float64(done.Load())
	return s.done / time.Since(began).Seconds(), nil
}

func (b *bench) idle(s *server) (float64, error) {
	signer, err := b.signer()
	if err != nil {
		return 0, err
	}
	time.Sleep(time.Second)
	before := s.pss()
	var clients []*ssh.Client
	defer func() {
		for _, client := range clients {
			_ = client.Close()
		}
	}()
	for range b.plan.idle {
		client, err := b.dial(s.port, ssh.PublicKeys(signer))
		if err != nil {
			return 0, err
		}
		clients = append(clients, client)
		files, err := sftp.NewClient(client)
		if err != nil {
			return 0, err
		}
		if _, err := files.ReadDir("."); err != nil {
			return 0, err
		}
	}
	time.Sleep(2 * time.Second)
	return (s.pss() - before) / float64(b.plan.idle), nil
}

// parallel has as many clients load a file each.
func (b *bench) parallel(s *server) (float64, error) {
	signer, err := b.signer()
	if err != nil {
		return 0, err
	}
	var failed atomic.Value
	var all sync.WaitGroup
	began := time.Now()
	for range b.plan.parallel {
		all.Go(func() {
			if err := b.load(s, signer); err != nil {
				failed.Store(err)
			}
		})
	}
	all.Wait()
	if err, bad := failed.Load().(error); bad {
		return 0, err
	}
	return float64(b.plan.parallelBytes>>20) * float64(b.plan.parallel) / time.Since(began).Seconds(), nil
}

func (b *bench) load(s *server, signer ssh.Signer) error {
	client, err := b.dial(s.port, ssh.PublicKeys(signer))
	if err != nil {
		return err
	}
	defer client.Close()
	files, err := sftp.NewClient(client)
	if err != nil {
		return err
	}
	file, err := files.Open(b.dir + "/part")
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, file)
	return err
}

func (b *bench) rclone(s *server, from, to string) (float64, error) {
	conf := machine.Root + "/tmp/rclone.conf"
	text := fmt.Sprintf("[r]\ntype = sftp\nhost = 127.0.0.1\nport = %d\nuser = %s\nkey_file = %s\nshell_type = none\n", s.port, b.person.Name, b.key)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.Command("rclone", "--config", conf, "--bind", b.person.Address, "--transfers", "8", "--checkers", "8", "copy", from, to)
	began := time.Now()
	output, err := cmd.CombinedOutput()
	took := time.Since(began).Seconds()
	if err != nil {
		return 0, fmt.Errorf("rclone: %w: %s", err, clip(output))
	}
	return took, nil
}
