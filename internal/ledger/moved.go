package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// A ledger in files that goes to another place must never again be opened as if it
// counted, also by a program that has it open, or one with a forgotten configuration:
// each code would be good in both. So the file movedName is written before the first
// entry is copied, and whoever changes an entry looks for it once the entry's lock is
// theirs. A change is made before, and is copied, or it is refused.

// movedName is the file that says so, beside the directories of keys.
const movedName = "moved"

// Moved says where a ledger in files went.
type Moved struct {
	From   string // the id that it had here
	To     string // what it is in there: etcd
	Prefix string // where in that
	ID     string // of the ledger there
	Begun  time.Time
	// Done says that everything is there. Until then no ledger counts: neither has all.
	Done bool
}

// MovedError is about a ledger in files that counts no longer.
type MovedError struct {
	Dir string
	Moved
}

func (e MovedError) Error() string {
	where := fmt.Sprintf("%s, %s, with the id %s", e.To, e.Prefix, e.ID)
	if e.Done {
		return fmt.Sprintf("the ledger in %s was moved on %s to %s; set [ledger] in the configuration, as nothing counts here any more", e.Dir, e.Begun.Format(time.DateOnly), where)
	}
	return fmt.Sprintf("the ledger in %s is being moved to %s, since %s; otpctl ledger move --to %s finishes that, and --undo takes it back", e.Dir, where, e.Begun.Format(time.RFC3339), e.To)
}

// ErrMoved is about an entry that was moved to another ledger. What is left of it here is
// for taking the move back.
var ErrMoved = errors.New("the entry was moved to another ledger, by otpctl ledger move; it counts here no more")

// ReadMoved reads where the ledger in dir went, if it did.
func ReadMoved(dir string) (moved Moved, found bool, err error) {
	opened, err := safefile.OpenServiceDir(dir)
	if err != nil {
		return Moved{}, false, err
	}
	defer opened.Close()
	return readMoved(opened)
}

func readMoved(dir *safefile.File) (moved Moved, found bool, err error) {
	text, err := safefile.ReadIn(dir, movedName, fileRules)
	if errors.Is(err, fs.ErrNotExist) {
		return Moved{}, false, nil
	}
	if err == nil {
		moved, err = parseMoved(string(text))
	}
	if err != nil {
		return Moved{}, false, fmt.Errorf("read where the ledger was moved to: %s/%s: %w", dir.Name(), movedName, err)
	}
	return moved, true, nil
}

// The two states of a move, in the file.
const (
	stateMoving = "moving"
	stateDone   = "done"
)

// movedForm is the file: lines of a word and a value. It is not TOML because a forked
// core reads it at each login.
const movedForm = "state %s\nfrom %s\nto %s\nprefix %s\nid %s\nbegun %s\n"

func (m Moved) text() string {
	state := stateMoving
	if m.Done {
		state = stateDone
	}
	return fmt.Sprintf(movedForm, state, m.From, m.To, m.Prefix, m.ID, m.Begun.UTC().Format(time.RFC3339))
}

func parseMoved(text string) (m Moved, err error) {
	var values []string
	for line := range strings.Lines(text) {
		_, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		values = append(values, value)
	}
	if len(values) == strings.Count(movedForm, "\n") {
		m = Moved{From: values[1], To: values[2], Prefix: values[3], ID: values[4], Done: values[0] == stateDone}
		m.Begun, err = time.Parse(time.RFC3339, values[5])
	}
	// Whatever was changed by hand is not believed.
	if err != nil || !ValidID(m.From) || m.To == "" || m.text() != text {
		return Moved{}, errors.New("expected the lines state, from, to, prefix, id and begun as otpctl ledger move writes them; have them back from a copy of the file")
	}
	return m, nil
}

// stays says of which kinds of keys a machine keeps its own also where its ledger is
// elsewhere: break-glass codes are good once on each machine, and wrong ones count
// against an address there. Neither makes any other code good.
func stays(kind string) bool { return kind == kindDirs[BreakGlass] || kind == kindDirs[Source] }

// checkHere says why entries of a kind may not be used: because the ledger was moved. dir
// is the directory of the kind.
func (f *Files) checkHere(kind string, dir *safefile.File) error {
	if f.moving || stays(kind) {
		return nil
	}
	moved, err := isMovedFrom(dir, "../"+movedName)
	if err == nil && moved {
		err = f.movedError()
	}
	return err
}

// isMovedFrom says whether there is the file, seen from a directory.
func isMovedFrom(dir *safefile.File, name string) (bool, error) {
	var there unix.Stat_t
	switch err := unix.Fstatat(dir.Fd(), name, &there, unix.AT_SYMLINK_NOFOLLOW); err {
	case nil:
		return true, nil
	case unix.ENOENT:
		return false, nil
	default:
		return false, &os.PathError{Op: "stat", Path: dir.Name() + "/" + name, Err: err}
	}
}

// movedError is for a ledger beside which the file was seen.
func (f *Files) movedError() error {
	moved, found, err := ReadMoved(f.dir)
	if err == nil && !found {
		err = errors.New("the ledger was being moved elsewhere until now; try again")
	}
	if err != nil {
		return err
	}
	return MovedError{f.dir, moved}
}

// LeftError is about entries in files that count nowhere, as the ledger is elsewhere and
// they were not moved there. Dirs are the directories that have any.
type LeftError struct{ Dirs []string }

func (e LeftError) Error() string {
	dirs := strings.Join(e.Dirs, " ")
	return fmt.Sprintf("entries of a ledger in files are left in %s, which [ledger] does not know: codes that they know to be used would be good again. "+
		"If they have counted on this server until now: otpctl ledger move --to etcd. If they are a copy from before a move, or are not to count: rm -r %s", dirs, dirs)
}

// PrefixError is about a ledger that was moved to another place than the one where it is
// looked for now.
type PrefixError struct {
	MovedError
	Prefix string // where it is looked for
}

func (e PrefixError) Error() string {
	return fmt.Sprintf("the ledger in %s was moved to %s, %s, and [ledger] has the prefix %s: put back the prefix %s", e.Dir, e.To, e.MovedError.Prefix, e.Prefix, e.MovedError.Prefix)
}

// Unwrap gives that it was moved.
func (e PrefixError) Unwrap() error { return e.MovedError }

// ForgottenError is about a ledger that was moved to another one, where nothing is known of
// that: what is there is another one, was set up anew, or is a copy from before.
type ForgottenError struct{ MovedError }

func (e ForgottenError) Error() string {
	return fmt.Sprintf("the ledger in %s was moved on %s to %s, %s, with the id %s, and where [ledger] leads now nothing is known of that: codes that were used would be good again. "+
		"If it leads elsewhere, let it lead there again, and restart otpgate-ledgerd; if that was set up anew, or restored from a copy, see docs/ledger.md", e.Dir, e.Begun.Format(time.DateOnly), e.To, e.Prefix, e.ID)
}

// Unwrap gives that it was moved.
func (e ForgottenError) Unwrap() error { return e.MovedError }

// CountsNowhere says whether an error is that no ledger counts on this machine: that where
// one was moved to, or is being moved to, is not where it is looked for. Nothing has been
// changed then, and nothing can be.
func CountsNowhere(err error) bool {
	return errors.As(err, new(MovedError)) || errors.As(err, new(LeftError)) || errors.As(err, new(UnnotedError))
}

// UnnotedError is about a machine on which it is not noted where its ledger is. Dir is where
// that would be.
type UnnotedError struct{ Dir string }

func (e UnnotedError) Error() string {
	return fmt.Sprintf("nothing in %s says in which etcd the ledger of this server is, so that any other one would pass for it, in which nobody has enrolled: otpctl ledger move --to etcd", e.Dir)
}

// CheckNoted is [CheckLeft] for what must not be looked for in just any ledger: it is an
// error too if no move to that one is noted.
func CheckNoted(dir, prefix string) error {
	if err := CheckLeft(dir, prefix); err != nil {
		return err
	}
	if _, found, err := ReadMoved(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	} else if !found {
		return UnnotedError{dir}
	}
	return nil
}

// CheckPrefix fails with a [PrefixError] if the ledger of a machine, whose files would be in dir,
// was moved to another place than that prefix, or is being moved there.
func CheckPrefix(dir, prefix string) error {
	moved, found, err := ReadMoved(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("look for a ledger in %s: %w: %w", dir, ErrUnreachable, err)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look for a ledger in %s: %w", dir, err)
	case found && moved.Prefix != prefix:
		return PrefixError{MovedError{dir, moved}, prefix}
	}
	return nil
}

// CheckLeft says why a ledger elsewhere, under a prefix there, may not be used yet on a
// machine whose ledger in files would be in dir: because that has entries which were not
// moved, or not all, or not there.
func CheckLeft(dir, prefix string) error {
	place, err := safefile.CheckServiceDir(dir)
	if err == nil {
		defer place.Close()
		_, err = place.Look(movedName)
	}
	switch {
	case err == nil:
		moved, found, err := ReadMoved(dir)
		switch {
		case err != nil || !found:
		case !moved.Done:
			err = MovedError{dir, moved}
		case moved.Prefix != prefix:
			err = PrefixError{MovedError{dir, moved}, prefix}
		}
		if err != nil || found {
			return err
		}
	case errors.Is(err, fs.ErrPermission):
		// An ordinary user's program, which may not ask for the other ledger either.
		return fmt.Errorf("look for a ledger in %s: %w: %w", dir, ErrUnreachable, err)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look for a ledger in %s: %w", dir, err)
	}
	var left LeftError
	for _, kind := range movedKinds {
		has, err := hasRecord(dir + "/" + kindDirs[kind])
		if err != nil {
			return fmt.Errorf("look for a ledger in %s: %w", dir, err)
		}
		if has {
			left.Dirs = append(left.Dirs, dir+"/"+kindDirs[kind])
		}
	}
	if len(left.Dirs) > 0 {
		return left
	}
	return nil
}

// movedKinds are those whose entries a move marks: what does not stay.
var movedKinds = []Kind{User, Client, Link, Invited}

// hasRecord says whether a directory has a record.
func hasRecord(path string) (bool, error) {
	dir, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(100)
		for _, name := range names {
			if name[0] != '.' { // one that is being made
				return true, nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		}
	}
}
