package command

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
			return usage("expected %s, found nothing", expected)
		case len(c.ValidArgs) > 0 && len(args) == 1:
			return usage("expected %s, found %q", expected, args[0])
		case len(args) == 1:
			return usage("expected %s, found 1 argument", expected)
		}
		return usage("expected %s, found %d arguments", expected, len(args))
	}
}

// group makes c a command that has others below it and does nothing itself.
func group(c *cobra.Command, below ...*cobra.Command) *cobra.Command {
	c.SuggestionsMinimumDistance = distance
	c.AddCommand(below...)
	c.DisableFlagsInUseLine = true
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return noCommand(c, args[0])
		}
		return nil
	}
	c.RunE = func(*cobra.Command, []string) error { return errMissing }
	return c
}

// distance is how many typing errors a command's name may be away to be
// suggested.
const distance = 2

var errMissing = errors.New("a command is missing")

// noCommand says what c has instead of the command name.
func noCommand(c *cobra.Command, name string) error {
	if near := c.SuggestionsFor(name); len(near) > 0 {
		return usage("no command %q; did you mean %s?", name, strings.Join(near, " or "))
	}
	var names []string
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() {
			names = append(names, below.Name())
		}
	}
	return usage("no command %q; expected one of %s", name, strings.Join(names, ", "))
}

// clearer puts an error that cobra itself found into the words of this
// program.
func clearer(root *cobra.Command, err error) error {
	// It has no type for this one.
	var name string
	if _, scanned := fmt.Sscanf(err.Error(), "unknown command %q", &name); scanned == nil {
		return noCommand(root, name)
	}
	return err
}

// flagError does so for a mistake in a flag.
func flagError(_ *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &value):
		return usage("--%s %q: expected %s", value.GetFlag().Name, value.GetValue(), typeName(value.GetFlag()))
	case errors.As(err, &missing) && missing.GetFlag() != nil:
		what, _ := pflag.UnquoteUsage(missing.GetFlag())
		return usage("--%s: expected %s behind it, found nothing", missing.GetFlag().Name, what)
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
