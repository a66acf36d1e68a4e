package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// handOvers is how often the processes of a server gave up a processor, and how many
// system calls they made, for each file. Unlike times these hardly depend on what else
// the machine does.
const handOvers = "hand-overs"

// handOverConnections are as many as rclone's.
const handOverConnections = 8

// maxFrontSwitches is the goal for a front, each file.
const maxFrontSwitches = 15

// counts are what was counted of one program, or of all.
type counts struct{ switches, calls float64 }

func (c *counts) add(other counts) {
	c.switches += other.switches
	c.calls += other.calls
}

// countHandOvers counts for files up and down: the requests are those of rclone, and
// the connections stay, so that no process ends with what it has counted.
func (b *bench) countHandOvers() error {
	fmt.Printf("\n%s for each of %d files on %d connections: switches to another thread, system calls\n", handOvers, b.plan.handOverFiles, handOverConnections)
	if err := os.MkdirAll(b.dir+"/handovers", 0o755); err != nil {
		return err
	}
	if err := b.own(); err != nil {
		return err
	}
	for _, direction := range []struct {
		name string
		file moveFile
	}{{"up", putSmall}, {"down", getSmall}} {
		var openssh counts
		for i, s := range b.servers {
			found, err := b.countFor(s, direction.file)
			if err != nil {
				return fmt.Errorf("%s %s, %s: %w", handOvers, direction.name, s.name, err)
			}
			all := showCounts(handOvers+" "+direction.name, s.name, found)
			if i == 0 {
				openssh = all
				continue
			}
			b.countGoals = append(b.countGoals,
				countGoal{fmt.Sprintf("%s %s, %s, front", handOvers, direction.name, s.name), found["otpgate-sftpd-front"].switches, maxFrontSwitches},
				countGoal{fmt.Sprintf("%s %s, %s, all processes as against OpenSSH's", handOvers, direction.name, s.name), all.switches / openssh.switches, 1})
		}
	}
	return nil
}

// countGoal is a bound on something counted.
type countGoal struct {
	what        string
	found, most float64
}

// showCounts prints what each program did, and returns the sum.
func showCounts(row, server string, found map[string]counts) counts {
	var all counts
	for _, one := range found {
		all.add(one)
	}
	fmt.Printf("%-30s %-26s %8.1f %8.1f\n", row, server, all.switches, all.calls)
	if len(found) > 1 {
		programs := make([]string, 0, len(found))
		for program := range found {
			programs = append(programs, program)
		}
		slices.Sort(programs)
		for _, program := range programs {
			fmt.Printf("%-30s   %-24s %8.1f %8.1f\n", "", program, found[program].switches, found[program].calls)
		}
	}
	return all
}

// countFor has clients move files, and counts what the server's programs do meanwhile.
func (b *bench) countFor(s *server, file moveFile) (map[string]counts, error) {
	clients, leave, err := b.connect(s, handOverConnections)
	defer leave()
	if err != nil {
		return nil, err
	}
	each := b.plan.handOverFiles / handOverConnections
	// The first files start threads.
	if err := b.moveAll(clients, each/10+1, file); err != nil {
		return nil, err
	}
	calls := watchCalls(s.pid)
	defer calls.close()
	before := switchesOf(s.pid)
	if err := b.moveAll(clients, each, file); err != nil {
		return nil, err
	}
	time.Sleep(200 * time.Millisecond) // what is gathered is written
	found, files := map[string]counts{}, float64(each*handOverConnections)
	for task, n := range switchesOf(s.pid) {
		one := found[task.program]
		one.add(counts{float64(n-before[task]) / files, float64(calls.of(task.id)) / files})
		found[task.program] = one
	}
	return found, nil
}

// connect logs clients in, until leave.
func (b *bench) connect(s *server, count int) (clients []*sftp.Client, leave func(), err error) {
	var conns []*ssh.Client
	leave = func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
	signer, err := b.signer()
	if err != nil {
		return nil, leave, err
	}
	for range count {
		conn, err := b.dial(s.port, ssh.PublicKeys(signer))
		if err != nil {
			return nil, leave, err
		}
		conns = append(conns, conn)
		client, err := sftp.NewClient(conn)
		if err != nil {
			return nil, leave, err
		}
		clients = append(clients, client)
	}
	return clients, leave, nil
}

// moveFile moves one file of a client.
type moveFile func(client *sftp.Client, path string) error

// moveAll has the clients move so many files each, at once.
func (b *bench) moveAll(clients []*sftp.Client, files int, file moveFile) error {
	errs := make([]error, len(clients))
	var all sync.WaitGroup
	for i, client := range clients {
		all.Go(func() {
			for n := range files {
				errs[i] = errors.Join(errs[i], file(client, fmt.Sprintf("%s/handovers/%d-%d", b.dir, i, n)))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// putSmall is what rclone requests to put a file.
func putSmall(client *sftp.Client, path string) error {
	_, _ = client.Lstat(path) // most are not there yet
	file, err := client.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, 4096))
	if err := errors.Join(err, file.Close(), client.Chtimes(path, time.Now(), time.Now())); err != nil {
		return err
	}
	_, err = client.Lstat(path)
	return err
}

// getSmall is what rclone requests to get a file.
func getSmall(client *sftp.Client, path string) error {
	if _, err := client.Stat(path); err != nil {
		return err
	}
	file, err := client.Open(path)
	if err != nil {
		return err
	}
	_, err = file.WriteTo(io.Discard)
	return errors.Join(err, file.Close())
}

// task is one thread of a server.
type task struct {
	id      int
	program string
}

// switchesOf is how often each thread of a process and of all below it gave up its
// processor so far, whether it waited or somebody else's turn had come.
func switchesOf(pid int) map[task]int {
	found := map[task]int{}
	for _, id := range tasksOf(pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id.id))
		if err != nil {
			continue // it has ended
		}
		total := 0
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			if strings.HasSuffix(name, "ctxt_switches") {
				n := 0
				_, _ = fmt.Sscan(value, &n) // 0 where it is no number
				total += n
			}
		}
		found[id] = total
	}
	return found
}

// tasksOf are the threads of a process and of all below it.
func tasksOf(pid int) []task {
	var all []task
	for _, process := range tree(pid) {
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", process))
		if err != nil {
			continue // it has ended
		}
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", process))
		for _, thread := range threads {
			id := 0
			if _, err := fmt.Sscan(filepath.Base(thread), &id); err == nil {
				all = append(all, task{id, filepath.Base(program)})
			}
		}
	}
	return all
}
