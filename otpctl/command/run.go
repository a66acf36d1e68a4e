// Package command is otpctl, the admin's command.
//
// The entry point is [Run]; each file holds a group of subcommands. It promises
// that nothing secret is taken from or shown in the command line, in a log or
// in an error, that secrets are shown only by the commands that make them, and
// that every change leaves one audit line.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/transport"
	"github.com/otpgate/otpgate/internal/doctor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/rollout"
)

// Exit statuses.
const (
	statusDone = iota
	statusFailed
	statusUsage
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
	Machine doctor.Machine
	// Authenticate is how libpam is asked for a dry login.
	Authenticate rollout.Authenticate
}

// app is one run of the command.
type app struct {
	World
	config   string // as given, "" for the default place
	quiet    bool
	lines    *lineReader
	out      *checkedWriter
	opened   *gate.Gate
	progress *progress // of what is being done, if it takes long
	// running is set once the command line has been understood. Whatever goes
	// wrong before is a mistake in it.
	running bool
	// command is the one that runs, and csv that it reads people from a file:
	// what helps depends on it.
	command string
	csv     bool
	// again is the command that helps if what is shown only once got lost.
	again string
}

// Run runs the command with these arguments and returns its exit status.
func Run(world World, args []string) int {
	a := newApp(world)
	root := a.root()
	root.SetArgs(args)
	ran, err := root.ExecuteContextC(context.Background())
	flags := root.Flags()
	if err == nil && ran == root && !flags.Changed("help") && !flags.Changed("version") {
		err = errMissing
	}
	if err != nil && !a.running {
		err = clearer(root, err)
	}
	if a.opened != nil {
		err = errors.Join(err, a.opened.Close())
	}
	if a.out.err != nil {
		err = notShown{a.out.err, a.again}
	}
	var wrong usageError
	var found foundStatus
	switch {
	case errors.As(err, &found):
		return int(found)
	case err == nil:
		return statusDone
	case a.running && !errors.As(err, &wrong), a.out.err != nil:
		a.complain(err)
		return statusFailed
	}
	a.complain(err)
	fmt.Fprintf(a.Stderr, "see %s --help\n", ran.CommandPath())
	return statusUsage
}

// Tree returns the commands without running any, for making documentation.
func Tree() *cobra.Command {
	return newApp(World{Stdout: io.Discard, Stderr: io.Discard}).root()
}

func newApp(world World) *app {
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
		world.Groups = gate.System{}
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
	return &app{World: world, lines: newLineReader(world.Stdin), out: &checkedWriter{w: world.Stdout}}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "otpctl",
		Short: "Enroll people for one-time codes and keep their secret files",
		Long: `otpctl enrolls people for one-time codes and keeps their secret files, one per
person, in the directory that paths.users of the configuration names.

Every change is logged, with who made it, to the system's log (authpriv), and to
standard error unless that is a terminal or --quiet is given. The exit status is
0 if everything was done, 1 if something failed, 2 if the command line was wrong;
doctor has two more.`,
		Example: `  otpctl enroll alice
  otpctl list
  otpctl test alice --service sshd --from 192.0.2.7`,
		Version:           a.versionLine(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.Flags().Bool("version", false, "print the version")
	root.SuggestionsMinimumDistance = distance
	root.SetFlagErrorFunc(flagError)
	root.SetIn(a.Stdin)
	root.SetOut(a.out)
	root.SetErr(a.Stderr)
	root.PersistentFlags().StringVar(&a.config, "config", "", "configuration `file` (default "+config.DefaultPath+")")
	root.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "log changes to the system's log only")
	root.AddCommand(a.enroll(), a.confirm(), a.list(), a.status(), a.enable(), a.disable(), a.remove(), a.rename(),
		a.set(), a.recovery(), a.resync(), a.unlock(), a.session(), a.imports(), a.export(), a.test(), a.sendTest(),
		a.doctor(), a.pam(), a.completion(), a.version())
	root.SetHelpCommand(a.help(root))
	noFiles(root)
	return root
}

// does gives c what it does.
func (a *app) does(c *cobra.Command, run func(ctx context.Context, args []string) error) *cobra.Command {
	c.DisableFlagsInUseLine = !c.HasLocalFlags()
	c.Args = explained(c.Args)
	c.RunE = func(c *cobra.Command, args []string) error {
		a.running, a.command = true, c.Name()
		return run(c.Context(), args)
	}
	return c
}

// gate opens the engine with the configuration.
func (a *app) gate() (admin.People, error) {
	if a.opened != nil {
		return admin.People{Gate: a.opened}, nil
	}
	path, err := a.configPath()
	if err != nil {
		return admin.People{}, err
	}
	opened, err := gate.Open(path, a.sink())
	if err != nil {
		return admin.People{}, err
	}
	opened.Now = a.Now
	opened.Sender = a.sender(opened.Config)
	a.opened = opened
	return admin.People{Gate: opened}, nil
}

// sender sends codes. One that cannot be set up fails the commands that send,
// and no others.
func (a *app) sender(settings config.Config) deliver.Sender {
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

// configPath is the named configuration, absolute, or "" for the default one.
func (a *app) configPath() (string, error) {
	if a.config == "" {
		return "", nil
	}
	path, err := filepath.Abs(a.config)
	if err != nil {
		return "", fmt.Errorf("--config: %w", err)
	}
	return path, nil
}

// usageError is a mistake in the command line that only its command can see.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usage(format string, values ...any) error {
	return usageError{fmt.Errorf(format, values...)}
}
