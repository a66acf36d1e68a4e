// Package invocation is one run of otpctl: what its commands have in common.
//
// The entry point is [App], which every command is given: the streams, the
// machine, the configuration and the engine, opened when a command asks for it;
// answers, tables and JSON; questions on a terminal; progress; completion; and
// what to do about errors. It promises that nothing is taken for shown that a
// full disk has swallowed, and that every change leaves one audit line.
package invocation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/transport"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/rollout"
)

// World is what a command works with. What stands after Now may be left out
// and then is the machine's own.
type World struct {
	Version        string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Now            func() time.Time
	// Log takes the audit lines.
	Log audit.Sink
	// Lookup asks the system for its own spelling of a login name.
	Lookup func(name string) (canonical string, found bool, err error)
	// Logins asks the system for accounts, Groups about groups.
	Logins Logins
	Groups Groups
	// Patience is how long work on a terminal goes on without saying how far
	// it is.
	Patience time.Duration
	// Synchronised says whether the machine's clock follows a time server.
	Synchronised func() bool
	// Sender sends codes, in the place of what the configuration names.
	Sender deliver.Sender
	// Machine is what the doctor examines and pam changes.
	Machine target.Machine
	// Authenticate is how libpam is asked for a dry login.
	Authenticate rollout.Authenticate
}

// App is one run of the command.
type App struct {
	World
	Config   string // as given, "" for the default place
	Quiet    bool
	Verbose  bool
	Lines    *lineReader
	Out      *checkedWriter
	Opened   *gate.Gate
	progress *progress // of what is being done, if it takes long
	// running is set once the command line has been understood. Whatever goes
	// wrong before is a mistake in it.
	Running bool
	// command is the one that runs, and csv that it reads people from a file:
	// what helps depends on it.
	command string
	Csv     bool
	// again is the command that helps if what is shown only once got lost.
	Again string
}

// NewApp begins a run, with the machine for what the world leaves out.
func NewApp(world World) *App {
	if world.Log == nil {
		world.Log = audit.Syslog{Now: world.Now}
	}
	if world.Lookup == nil {
		world.Lookup = lookup
	}
	if world.Logins == nil {
		world.Logins = systemLogins{}
	}
	if world.Groups == nil {
		world.Groups = systemGroups{}
	}
	if world.Patience == 0 {
		world.Patience = progressAfter
	}
	if world.Synchronised == nil {
		world.Synchronised = synchronised
	}
	if world.Authenticate == nil {
		world.Authenticate = rollout.LibPAM
	}
	return &App{World: world, Lines: newLineReader(world.Stdin), Out: &checkedWriter{w: world.Stdout}}
}

// Does gives c what it does.
func (a *App) Does(c *cobra.Command, run func(ctx context.Context, args []string) error) *cobra.Command {
	c.DisableFlagsInUseLine = !c.HasLocalFlags()
	c.Args = explained(c.Args)
	c.RunE = func(c *cobra.Command, args []string) error {
		a.Running, a.command = true, c.Name()
		return run(c.Context(), args)
	}
	return c
}

// Gate opens the engine with the configuration.
func (a *App) Gate() (admin.People, error) {
	if a.Opened != nil {
		return admin.People{Gate: a.Opened}, nil
	}
	path, err := a.ConfigPath()
	if err != nil {
		return admin.People{}, err
	}
	opened, err := gate.Open(path, a.Sink())
	if err != nil {
		return admin.People{}, err
	}
	if remote := opened.Config.Remote; remote != nil {
		return admin.People{}, errors.Join(onServers(remote.Servers), opened.Close())
	}
	opened.Now = a.Now
	if names, can := a.Groups.(gate.Names); can {
		opened.Names = names
	}
	opened.Sender = a.SenderFor(opened.Config)
	a.Opened = opened
	a.noteLeft(gate.PlaceOf(opened.Config))
	return admin.People{Gate: opened}, nil
}

// noteLeft says that secret files are where none counts any more.
func (a *App) noteLeft(place gate.Place) {
	left, err := place.Left()
	switch {
	case err != nil:
		a.Note("%v", err)
	case len(left) > 0:
		a.Note("%s, such as %s, left where none counts any more: %s ledger move --people takes them to etcd", Counted(len(left), "secret file is", "secret files are"), left[0], a.Self())
	}
}

// onServers is the error of commands about people on a machine that holds nothing of
// them.
func onServers(servers []string) error {
	if len(servers) == 0 {
		return errors.New("this machine is a client: secret files and ledger are on the servers that connect to it; run the command on one of them")
	}
	return fmt.Errorf("this machine is a client: secret files and ledger are on its servers, %s; run the command on one of them", strings.Join(servers, " and "))
}

// SenderFor sends codes. One that cannot be set up fails the commands that send,
// and no others.
func (a *App) SenderFor(settings config.Config) deliver.Sender {
	if a.Sender != nil {
		return a.Sender
	}
	if settings.Email == nil && settings.SMS == nil {
		return nil
	}
	sender, err := transport.New(settings)
	if err != nil {
		return deliver.Broken{Err: err}
	}
	return sender
}

// ConfigPath is the named configuration, absolute, or "" for the default one.
func (a *App) ConfigPath() (string, error) {
	if a.Config == "" {
		return "", nil
	}
	path, err := filepath.Abs(a.Config)
	if err != nil {
		return "", fmt.Errorf("--config: %w", err)
	}
	return path, nil
}

// UsageError is a mistake in the command line that only its command can see.
type UsageError struct{ Err error }

func (u UsageError) Error() string { return u.Err.Error() }

func (u UsageError) Unwrap() error { return u.Err }

// Usage is a mistake in the command line.
func Usage(format string, values ...any) error {
	return UsageError{Err: fmt.Errorf(format, values...)}
}
