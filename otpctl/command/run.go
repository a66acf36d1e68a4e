// Package command is otpctl, the admin's command, put together from those of
// the packages people, invitations, logins, machines, secrets, transfer and setup.
//
// The entry point is [Run]. It promises that nothing secret is taken from or
// shown in the command line, in a log or in an error, that secrets are shown
// only by the commands that make them, and that every change leaves one audit
// line.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/otpctl/invitations"
	"github.com/otpgate/otpgate/otpctl/invocation"
	"github.com/otpgate/otpgate/otpctl/logins"
	"github.com/otpgate/otpgate/otpctl/machines"
	"github.com/otpgate/otpgate/otpctl/people"
	"github.com/otpgate/otpgate/otpctl/secrets"
	"github.com/otpgate/otpgate/otpctl/setup"
	"github.com/otpgate/otpgate/otpctl/transfer"
)

// Exit statuses.
const (
	statusDone = iota
	statusFailed
	statusUsage
)

// Run runs the command with these arguments and returns its exit status.
func Run(world invocation.World, args []string) int {
	a := invocation.NewApp(world)
	root := root(a)
	root.SetArgs(args)
	ran, err := root.ExecuteContextC(context.Background())
	flags := root.Flags()
	if err == nil && ran == root && !flags.Changed("help") && !flags.Changed("version") {
		err = invocation.ErrMissing
	}
	if err != nil && !a.Running {
		err = invocation.Clearer(root, err)
	}
	if a.Opened != nil {
		err = errors.Join(err, a.Opened.Close())
	}
	if a.Out.Err != nil {
		err = invocation.NotShown{Err: a.Out.Err, Again: a.Again}
	}
	var wrong invocation.UsageError
	var found invocation.FoundStatus
	switch {
	case errors.As(err, &found):
		return int(found)
	case err == nil:
		return statusDone
	case a.Running && !errors.As(err, &wrong), a.Out.Err != nil:
		a.Complain(err)
		answerError(a, ran, args, err, statusFailed)
		return statusFailed
	}
	a.Complain(err)
	answerError(a, ran, args, err, statusUsage)
	fmt.Fprintf(a.Stderr, "see %s --help\n", ran.CommandPath())
	return statusUsage
}

// answerError answers with the error where JSON was asked for and nothing was
// answered: what reads standard output finds one document there in any case.
func answerError(a *invocation.App, ran *cobra.Command, args []string, err error, status int) {
	asked := slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
	if !asked || ran.Flags().Lookup("json") == nil || a.Out.Written || a.Out.Err != nil {
		return
	}
	// It fails only where the status says so already.
	_ = a.JSON(struct {
		Error  string `json:"error"`
		Hint   string `json:"hint,omitempty"`
		Status int    `json:"status"`
	}{err.Error(), a.Hint(err), status})
}

// Tree returns the commands without running any, for making documentation.
func Tree() *cobra.Command {
	a := invocation.NewApp(invocation.World{Stdout: io.Discard, Stderr: io.Discard})
	return root(a)
}

func root(a *invocation.App) *cobra.Command {
	root := &cobra.Command{
		Use:   "otpctl",
		Short: "Enroll people for one-time codes and keep their secret files",
		Long: `otpctl enrolls people for one-time codes and keeps their secret files, one per
person, in the directory that paths.users of the configuration names.

Every change is logged, with who made it, to the system's log (authpriv), and with
--verbose to standard error too. If standard error is not a terminal and all went
well, only remarks that need attention go there. The exit status is 0 if everything was
done, 1 if something failed, 2 if the command line was wrong; doctor has two more.

With --json, standard output is one JSON document: the answer or, where an error
left none, an object with error, status and perhaps hint. Standard error has the
same error in words.`,
		Example: `  otpctl enroll alice
  otpctl list
  otpctl test alice --service sshd --from 192.0.2.7`,
		Version:           versionLine(a),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.Flags().Bool("version", false, "print the version")
	root.SuggestionsMinimumDistance = invocation.Distance
	root.SetFlagErrorFunc(invocation.FlagError)
	root.SetIn(a.Stdin)
	root.SetOut(a.Out)
	root.SetErr(a.Stderr)
	root.PersistentFlags().StringVar(&a.Config, "config", "", "configuration `file` (default "+config.DefaultPath+")")
	root.PersistentFlags().BoolVarP(&a.Quiet, "quiet", "q", false, "log changes to the system's log only, even if nothing takes them there")
	root.PersistentFlags().BoolVarP(&a.Verbose, "verbose", "v", false, "log changes to standard error too")
	root.AddCommand(people.Enroll(a), people.Confirm(a), people.List(a), people.Status(a), people.Enable(a), people.Disable(a), people.Remove(a), people.Rename(a),
		people.Set(a), people.Recovery(a), people.Resync(a), invitations.Invite(a), logins.Unlock(a), logins.Session(a), transfer.Import(a), transfer.Export(a), logins.Test(a), logins.SendTest(a),
		machines.Client(a), machines.BreakGlass(a), machines.Ledger(a),
		secrets.Command(a), setup.Doctor(a), setup.PAM(a), completion(a), version(a))
	root.SetHelpCommand(help(a, root))
	invocation.NoFiles(root)
	return root
}
