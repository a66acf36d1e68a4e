package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/migrate"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// tokenFlags are those of the imports of devices.
type tokenFlags struct {
	importing
	whose string // the file of --map
}

func (t *tokenFlags) register(c *cobra.Command) {
	t.importing.register(c)
	c.Flags().StringVar(&t.whose, "map", "", "`file` of comma-separated values that says who has which device: its serial or label, and the login name; others are left out")
}

// bringTokens imports the devices of a file. read reads its text.
func bringTokens(ctx context.Context, a *invocation.App, command, given string, flags tokenFlags, read func([]byte) ([]tokenfile.Token, error)) error {
	path, data, err := deviceFile(a, given)
	if err != nil {
		return err
	}
	tokens, err := read(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	named, left, mistakes, err := whoseTokens(a, tokens, flags)
	if err != nil {
		return err
	}
	if err := ofOthers(a, named); err != nil {
		return err
	}
	mistakes = append(mistakes, mistakesIn(named, path)...)
	if len(mistakes) > 0 {
		return nobodyFor(a, mistakes, path)
	}
	if len(tokens) == 0 {
		a.Sum("%s has no devices in it", path)
	}
	var people []found
	for _, p := range migrate.Tokens(named, a.Now()) {
		people = append(people, found{Person: p, file: path})
	}
	for _, t := range left {
		people = append(people, found{Person: migrate.Person{Err: errNotInMap, Lines: lineOf(t), Entries: entryOf(t)}, file: path})
	}
	return bringAlong(ctx, a, command, people, flags.importing)
}

// maxMistakes is how many of them are shown.
const maxMistakes = 50

// nobodyFor lists the mistakes for which nobody is imported, and what to do about
// them, each advice once.
func nobodyFor(a *invocation.App, mistakes []error, path string) error {
	n := len(mistakes)
	var hints []string
	for _, mistake := range mistakes[:min(n, maxMistakes)] {
		a.Note("%v", mistake)
		if hint := a.Hint(mistake); hint != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	if n > maxMistakes {
		a.Note("and %d more", n-maxMistakes)
	}
	for _, hint := range hints {
		fmt.Fprintln(a.Stderr, "hint: "+invocation.Printable(hint))
	}
	return fmt.Errorf("nobody is imported: %s in %s", invocation.Counted(n, "mistake", "mistakes"), path)
}

// errNotInMap is for devices that the map leaves out.
var errNotInMap = errors.New("the map does not name it")

func lineOf(t tokenfile.Token) []int {
	if t.Line > 0 {
		return []int{t.Line}
	}
	return nil
}

func entryOf(t tokenfile.Token) []int {
	if t.Line > 0 {
		return nil
	}
	return []int{t.Number}
}

// deviceFile reads a file with the devices of many: root's alone, or standard input.
func deviceFile(a *invocation.App, given string) (path string, data []byte, err error) {
	if given == "-" {
		data, err = io.ReadAll(io.LimitReader(a.Stdin, tokenfile.MaxSize+1))
		if err == nil && len(data) > tokenfile.MaxSize {
			err = fmt.Errorf("standard input: over %d bytes, expected fewer; split it", tokenfile.MaxSize)
		}
		return "standard input", data, err
	}
	if path, err = filepath.Abs(given); err != nil {
		return "", nil, err
	}
	data, err = rootsOwn(a, path, safefile.Rules{Forbidden: 0o077, MaxSize: tokenfile.MaxSize})
	return path, data, err
}

// rootsOwn reads a file of root's, or of whoever runs this.
func rootsOwn(a *invocation.App, path string, rules safefile.Rules) ([]byte, error) {
	owner, err := ownerOf(a, path)
	if err != nil {
		return nil, err
	}
	if owner.UID != 0 && owner.UID != uint32(os.Geteuid()) {
		return nil, fmt.Errorf("%s: %w: it belongs to %s, expected root: run chown root", path, safefile.ErrUnsafe, owner.Name)
	}
	return safefile.ReadOf(path, owner.UID, owner.GID, rules)
}

// whoseTokens finds out whose each device is, and which are left out.
func whoseTokens(a *invocation.App, tokens []tokenfile.Token, flags tokenFlags) (named, left []tokenfile.Token, mistakes []error, err error) {
	named = tokens
	if flags.whose != "" {
		path, err := filepath.Abs(flags.whose)
		if err != nil {
			return nil, nil, nil, err
		}
		// There is no secret in it.
		data, err := rootsOwn(a, path, safefile.Rules{Forbidden: 0o022, MaxSize: tokenfile.MaxSize})
		if err != nil {
			return nil, nil, nil, fmt.Errorf("--map: %w", err)
		}
		whose, err := tokenfile.ParseMap(data)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("--map: %s: %w", path, err)
		}
		var wrong []error
		named, left, wrong = whose.Assign(tokens)
		for _, err := range wrong {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", path, err))
		}
	}
	for i := range named {
		if t := &named[i]; t.Err == nil {
			t.Err = ownerOfToken(a, t)
		}
	}
	return named, left, mistakes, nil
}

// ownerOfToken takes the account of the label where nothing else says whose the
// device is. A name that the machine does not know and that may be a key is shown
// nowhere.
func ownerOfToken(a *invocation.App, t *tokenfile.Token) error {
	if t.User == "" {
		t.User = t.Account
	}
	switch {
	case t.User == "":
		return errors.New("it does not say whose it is: --map says so")
	case account.CheckName(t.User) != nil:
		return errors.New("the account of its label is no login name: --map says whose it is")
	}
	return mayShow(a, t.User)
}

// mayShow refuses a name that the machine does not know and that may be a key.
func mayShow(a *invocation.App, name string) error {
	if !tokenfile.IsKeyLike(name) {
		return nil
	}
	switch _, known, err := a.Lookup(name); {
	case err != nil:
		return err
	case !known:
		return errors.New("this machine does not know the user, whose name looks like a key and is not shown")
	}
	return nil
}

// mistakesIn lists what is wrong with devices, and which two have one key: a code
// would be good twice.
func mistakesIn(tokens []tokenfile.Token, path string) (mistakes []error) {
	keys := map[string]string{}
	for _, t := range tokens {
		first, twice := keys[string(t.Factor.Secret)]
		switch {
		case t.Err == nil && twice:
			t.Err = fmt.Errorf("its key is that of %s too", first)
		case t.Err == nil:
			keys[string(t.Factor.Secret)] = t.Place()
		}
		if t.Err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %s: %w", path, t.Place(), t.Err))
		}
	}
	return mistakes
}
