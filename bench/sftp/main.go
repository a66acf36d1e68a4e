// Command sftp times sftpd beside OpenSSH's internal-sftp: the same client,
// cipher, people and disk, in turns, in one private machine, with PAM and the
// audit on. It prints medians and their ratios.
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
}

var (
	full  = plan{rounds: 5, big: 1 << 30, small: 5000, entries: 20000, logins: 20, idle: 100, parallel: 64, parallelBytes: 32 << 20, loginsInParallel: 5 * time.Second}
	quick = plan{rounds: 1, big: 8 << 20, small: 50, entries: 200, logins: 2, idle: 5, parallel: 4, parallelBytes: 1 << 20, loginsInParallel: 200 * time.Millisecond}
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
	plan     plan
	cleanups []func()
	name     string
	servers  []*server
	person   *machine.Person
	key      string
	dir      string
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

// row is one figure of each server.
type row struct {
	name  string
	unit  string
	more  bool // more is better
	goal  float64
	times func(s *server) (float64, error)
	once  bool
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
	fmt.Printf("%-34s %12s", "row", "openssh")
	for _, s := range b.servers[1:] {
		fmt.Printf(" %20s", s.name)
	}
	fmt.Println("   (ratio)")
	for _, r := range b.rows() {
		if !strings.HasPrefix(r.name, *only) {
			continue
		}
		if err := b.time(r); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

// time measures a row in turns, the order rotated.
func (b *bench) time(r row) error {
	figures := make([][]float64, len(b.servers))
	rounds := b.plan.rounds
	if r.once {
		rounds = 1
	}
	for round := range rounds {
		for i := range b.servers {
			i = (i + round) % len(b.servers)
			figure, err := r.times(b.servers[i])
			if err != nil {
				return fmt.Errorf("%s: %w", b.servers[i].name, err)
			}
			figures[i] = append(figures[i], figure)
		}
	}
	base := median(figures[0])
	fmt.Printf("%-34s %9.3f %-4s", r.name, base, r.unit)
	for i := range b.servers[1:] {
		fmt.Printf(" %14.3f %4.2fx", median(figures[i+1]), median(figures[i+1])/base)
	}
	if r.goal > 0 {
		fmt.Printf("  goal %.2f", r.goal)
	}
	fmt.Println()
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
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
	ssh := machine.StartSSHD(b, "benchsshd", "Subsystem sftp internal-sftp -l INFO", "PubkeyAuthentication yes", "MaxStartups 5000", "PerSourceMaxStartups none", "LogLevel INFO")
	b.servers = append(b.servers, &server{name: "openssh", port: ssh.Port, pid: ssh.PID()})
	for _, per := range []string{"session", "user"} {
		text := "[policy]\nsessions = { sftp = \"1d\" }\n"
		site := machine.NewSite(b, "bench-"+per, text)
		b.person.Enroll(b, site.Users)
		s := machine.StartSFTPD(b, site, text, "worker = \""+per+"\"\nlimits = { penalties = false, max_startups = 5000, startups_per_source = 5000 }\n")
		started := &server{name: "sftpd per " + per, port: s.Port, pid: s.PID()}
		b.servers = append(b.servers, started)
		if err := b.giveCode(s); err != nil {
			return err
		}
	}
	return errors.Join(os.MkdirAll(b.dir+"/many", 0o755), os.MkdirAll(b.dir+"/small", 0o755), b.makeFiles())
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
