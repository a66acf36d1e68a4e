package invocation

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// cobra says "accepts 1 arg(s), received 0". What follows says what the command
// expects instead, in the words of its usage line.

// explained has a wrong number of arguments answered with the right ones. It
// does not repeat what was given: that may be a code.
func explained(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if check(c, args) == nil {
			return nil
		}
		expected := strings.TrimPrefix(c.Use, c.Name())
		if expected = strings.TrimSpace(expected); expected == "" {
			expected = "no arguments"
		}
		if service := c.Flags().Lookup("service"); service != nil && expected == "no arguments" {
			expected += ", and a service behind --service"
		}
		switch {
		case len(args) == 0:
			return Usage("expected %s, found nothing", expected)
		case len(c.ValidArgs) > 0 && len(args) == 1:
			return Usage("expected %s, found %q", expected, args[0])
		case len(args) == 1:
			return Usage("expected %s, found 1 argument", expected)
		}
		return Usage("expected %s, found %d arguments", expected, len(args))
	}
}

// Group makes c a command that has others below it and does nothing itself.
func Group(c *cobra.Command, below ...*cobra.Command) *cobra.Command {
	c.SuggestionsMinimumDistance = Distance
	c.AddCommand(below...)
	c.DisableFlagsInUseLine = true
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return NoCommand(c, args[0])
		}
		return nil
	}
	c.RunE = func(*cobra.Command, []string) error { return ErrMissing }
	return c
}

// Distance is how many typing errors a command's name may be away to be
// suggested.
const Distance = 2

// ErrMissing is for a command line that is empty.
var ErrMissing = errors.New("a command is missing")

// NoCommand says what c has instead of the command name.
func NoCommand(c *cobra.Command, name string) error {
	if near := c.SuggestionsFor(name); len(near) > 0 {
		return Usage("no command %q; did you mean %s?", name, strings.Join(near, " or "))
	}
	var names []string
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() {
			names = append(names, below.Name())
		}
	}
	return Usage("no command %q; expected one of %s", name, strings.Join(names, ", "))
}

// Clearer puts an error that cobra itself found into the words of this
// program.
func Clearer(root *cobra.Command, err error) error {
	// It has no type for this one.
	var name string
	if _, scanned := fmt.Sscanf(err.Error(), "unknown command %q", &name); scanned == nil {
		return NoCommand(root, name)
	}
	return err
}

// FlagError does so for a mistake in a flag.
func FlagError(_ *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &value):
		return Usage("--%s %q: expected %s", value.GetFlag().Name, value.GetValue(), typeName(value.GetFlag()))
	case errors.As(err, &missing) && missing.GetFlag() != nil:
		what, _ := pflag.UnquoteUsage(missing.GetFlag())
		return Usage("--%s: expected %s after it, found nothing", missing.GetFlag().Name, what)
	}
	return err
}

func typeName(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "int", "int64":
		return "a whole number"
	case "bool":
		return "true or false, or nothing for true"
	case "duration":
		return "a time such as 90s or 10m"
	}
	return "a " + flag.Value.Type()
}
