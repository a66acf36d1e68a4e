// Command sftp times sftpd beside OpenSSH's internal-sftp: the same client,
// cipher, people and disk, in turns, in one private machine, with PAM and the
// audit on. It prints medians, their ratios, the ratios of the servers'
// processor time, which others on the machine move less, how often a processor is
// handed over for a small file, and whether the goals are met.
//
// It runs in the source tree after make build and needs root. With -quick it
// does little of everything, to show that the bench itself works. With -only it
// does the rows whose names begin so.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// plan is how much is done.
type plan struct {
	rounds           int
	big              int64 // bytes
	small            int   // files
	entries          int
	logins           int
	idle             int
	parallel         int
	parallelBytes    int64
	loginsInParallel time.Duration
	handOverFiles    int
}

var (
	full  = plan{rounds: 5, big: 1 << 30, small: 5000, entries: 20000, logins: 20, idle: 100, parallel: 64, parallelBytes: 32 << 20, loginsInParallel: 5 * time.Second, handOverFiles: 1600}
	quick = plan{rounds: 1, big: 8 << 20, small: 50, entries: 200, logins: 2, idle: 5, parallel: 4, parallelBytes: 1 << 20, loginsInParallel: 200 * time.Millisecond, handOverFiles: 80}
)

var (
	fast = flag.Bool("quick", false, "do little of everything, to show that the bench works")
	only = flag.String("only", "", "do the rows whose names begin with this `text`")
)

func main() {
	flag.Parse()
	todo := full
	if *fast {
		todo = quick
	}
	os.Exit(machine.Run(nil, func() int {
		b := &bench{plan: todo}
		err := b.run()
		b.cleanUp()
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			return 1
		}
		return 0
	}))
}

// bench is machine.T for what it starts.
type bench struct {
	plan       plan
	cleanups   []func()
	name       string
	servers    []*server
	person     *machine.Person
	key        string
	dir        string
	results    []result
	countGoals []countGoal
}

type fatal struct{ error }

// Helper implements machine.T.
func (b *bench) Helper() {}

// Name implements machine.T.
func (b *bench) Name() string { return b.name }

// Fatalf implements machine.T.
func (b *bench) Fatalf(format string, args ...any) { panic(fatal{fmt.Errorf(format, args...)}) }

// Errorf implements machine.T.
func (b *bench) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Logf implements machine.T.
func (b *bench) Logf(string, ...any) {}

// Cleanup implements machine.T.
func (b *bench) Cleanup(do func()) { b.cleanups = append(b.cleanups, do) }

func (b *bench) cleanUp() {
	for _, do := range slices.Backward(b.cleanups) {
		do()
	}
}

func (b *bench) run() (err error) {
	defer func() {
		if failed, ok := recover().(fatal); ok {
			err = failed
		}
	}()
	if err := b.setUp(); err != nil {
		return err
	}
	b.heading()
	for _, r := range b.rows() {
		if !strings.HasPrefix(r.name, *only) {
			continue
		}
		found, err := b.measure(r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		b.results = append(b.results, found)
		b.show(found)
	}
	if strings.HasPrefix(handOvers, *only) {
		if err := b.countHandOvers(); err != nil {
			return err
		}
	}
	b.judge()
	return nil
}

// setUp starts the servers and makes the files.
func (b *bench) setUp() error {
	b.name = "bench"
	b.person = machine.NewPerson(b, "ben")
	b.dir = "/home/" + b.person.Name + "/files"
	if err := b.makeKey(); err != nil {
		return err
	}
	machine.WriteService(b, "benchsshd", "@include common-auth\n@include common-account\n@include common-session\n")
	group, err := b.newGroup("openssh")
	if err != nil {
		return err
	}
	ssh := hosts.StartSSHD(b, "benchsshd", "Subsystem sftp internal-sftp -l INFO", "PubkeyAuthentication yes", "MaxStartups 5000", "PerSourceMaxStartups none", "LogLevel INFO")
	if err := b.add("openssh", ssh.Port, ssh.PID(), group); err != nil {
		return err
	}
	for _, per := range []string{"session", "user"} {
		text := "[policy]\nsessions = { sftp = \"1d\" }\n"
		site := machine.NewSite(b, "bench-"+per, text)
		b.person.Enroll(b, site.Users)
		group, err := b.newGroup(per)
		if err != nil {
			return err
		}
		s := hosts.StartSFTPD(b, site, text, "worker = \""+per+"\"\nlimits = { penalties = false, max_startups = 5000, startups_per_source = 5000 }\n")
		if err := errors.Join(b.add("per "+per, s.Port, s.PID(), group), b.giveCode(s)); err != nil {
			return err
		}
	}
	return errors.Join(os.MkdirAll(b.dir+"/many", 0o755), os.MkdirAll(b.dir+"/small", 0o755), b.makeFiles())
}

// add is for a server that was just started.
func (b *bench) add(name string, port, pid int, g group) error {
	b.servers = append(b.servers, &server{name: name, port: port, pid: pid, group: g})
	return g.take(pid)
}

func (b *bench) makeFiles() error {
	block := bytes.Repeat([]byte("otpgate!"), 1<<17)
	big, err := os.Create(b.dir + "/big")
	if err != nil {
		return err
	}
	defer big.Close()
	for written := int64(0); written < b.plan.big; written += int64(len(block)) {
		if _, err := big.Write(block); err != nil {
			return err
		}
	}
	for i := range b.plan.entries {
		if err := os.WriteFile(filepath.Join(b.dir, "many", fmt.Sprintf("entry-%05d", i)), nil, 0o644); err != nil {
			return err
		}
	}
	for i := range b.plan.small {
		if err := os.WriteFile(filepath.Join(b.dir, "small", fmt.Sprintf("file-%05d", i)), block[:4096], 0o644); err != nil {
			return err
		}
	}
	part, err := os.Create(b.dir + "/part")
	if err != nil {
		return err
	}
	defer part.Close()
	for written := int64(0); written < b.plan.parallelBytes; written += int64(len(block)) {
		if _, err := part.Write(block); err != nil {
			return err
		}
	}
	return b.own()
}

// Failed implements machine.T.
func (b *bench) Failed() bool { return false }
