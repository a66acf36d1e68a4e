// Package daemon is what otpgate's daemons have in common: options, usage and
// exit status, what they tell systemd, and the figures that they serve.
//
// [New] makes one, options are added to it, and Main runs it. It promises that an
// option that is unknown, a word too many and a path that is not absolute end the
// program before it has done anything, and that those who read the figures take
// few descriptors.
package daemon

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// Daemon is a command line of options alone.
type Daemon struct {
	*flag.FlagSet
	version string
	show    bool
}

// New begins a program. usage is printed before the list of its options, of
// which --version is one.
func New(name, version, usage string) *Daemon {
	p := &Daemon{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), version: version}
	p.Usage = func() {
		fmt.Fprint(p.Output(), usage)
		p.PrintDefaults()
	}
	p.BoolVar(&p.show, "version", false, "print the version")
	return p
}

// PathVar adds an option whose value is an absolute path.
func (p *Daemon) PathVar(path *string, name, value, usage string) {
	*path = value
	p.Var((*absolute)(path), name, usage)
}

type absolute string

func (a *absolute) String() string {
	if a == nil {
		return ""
	}
	return string(*a)
}

func (a *absolute) Set(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New("expected an absolute path")
	}
	*a = absolute(path)
	return nil
}

// Main reads the command line, calls run and does not return. The exit status is 0
// if run went well and after --help and --version, 1 if run failed, 2 for a
// command line that is wrong.
func (p *Daemon) Main(run func() error) {
	os.Exit(p.status(os.Args[1:], run))
}

func (p *Daemon) status(args []string, run func() error) int {
	err := p.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case p.NArg() > 0:
		fmt.Fprintf(p.Output(), "%s: unexpected argument %q\n", p.Name(), p.Arg(0))
		return 2
	case p.show:
		fmt.Println(p.Name(), p.version)
		return 0
	}
	if err := run(); err != nil {
		fmt.Fprintf(p.Output(), "%s: %v\n", p.Name(), err)
		return 1
	}
	return 0
}
