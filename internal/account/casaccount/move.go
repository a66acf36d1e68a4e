package casaccount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Move takes the secret files of a directory to where [New] has them. It promises that it
// replaces nothing there, that it begins nothing before both sides of everything were
// read, and that a file is put away only once its text is there. Wherever it is killed, it
// goes on when it is run again; until then whoever was not taken over is denied.
type Move struct {
	// From is the directory.
	From account.Place
	// Ledger and Prefix are those of New.
	Ledger *casledger.Store
	Prefix string
	// Progress is told what begins, and of how many people, and gives what is called
	// after each of them.
	Progress func(what string, total int) (step func())

	// at is called at each step. Tests kill there.
	at func(step string)
}

// Moved is what a [Move] did: of that many People, those that were not there already were
// Copied.
type Moved struct{ People, Copied int }

// Problems are people who cannot be moved, and why.
type Problems []string

func (p Problems) Error() string {
	const most = 20 // are enough to see what they are about
	shown, more := slices.Sorted(slices.Values(p)), ""
	if left := len(shown) - most; left > 0 {
		shown, more = shown[:most], fmt.Sprintf("\n  and %d more", left)
	}
	return fmt.Sprintf("%d of the secret files cannot be moved:\n  %s%s", len(p), strings.Join(shown, "\n  "), more)
}

// What is wrong with those that cannot be moved for what is at the other end.
var (
	errOther   = errors.New("there is another one of that name already; take this file away if that one is to count")
	errRemoved = errors.New("the one of that name was removed there; take this file away, and enroll the person again if they are to come back")
)

const suffix = ".toml"

// moving is a Move under way.
type moving struct {
	Move
	to     *texts
	dir    *safefile.File
	result Moved
	mu     sync.Mutex
}

// Run moves all of them, or goes on with it. Where there is no directory it does nothing.
func (m Move) Run() (Moved, error) {
	dir, err := safefile.OpenServiceDir(m.From.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return Moved{}, nil
	}
	if err != nil {
		return Moved{}, fmt.Errorf("directory of secret files: %w", err)
	}
	defer dir.Close()
	unlock, err := safefile.LockDir(dir)
	if err != nil {
		return Moved{}, err
	}
	defer unlock()
	if m.at == nil {
		m.at = func(string) {}
	}
	r := &moving{Move: m, to: &texts{ledger: m.Ledger, prefix: m.Prefix}, dir: dir}
	err = r.run()
	return r.result, err
}

func (r *moving) run() error {
	paths, err := account.Place{Former: r.From.Path}.Left()
	if err != nil {
		return err
	}
	if err := r.compare(paths); err != nil {
		return err
	}
	r.at("compared")
	said := fmt.Sprintf("The secret files that were here are in etcd, %s: otpctl ledger move --people.\n", Path(r.Prefix))
	if err := safefile.Replace(r.dir, account.MovedName, []byte(said), 0o600); err != nil {
		return err
	}
	r.at("noted")
	return r.take(paths)
}

// compare reads both sides of everything, and changes nothing.
func (r *moving) compare(paths []string) error {
	var problems Problems
	step := r.Progress("compared", len(paths))
	err := r.each(paths, func(path string) error {
		_, _, err := r.read(path)
		r.mu.Lock()
		defer r.mu.Unlock()
		step()
		if of, ok := errors.AsType[problem](err); ok {
			problems = append(problems, fmt.Sprintf("%s: %v", path, of))
			return nil
		}
		return err
	})
	if err == nil && len(problems) > 0 {
		err = problems
	}
	return err
}

// problem is an error because of which one person cannot be moved.
type problem struct{ error }

func (p problem) Unwrap() error { return p.error }

// read gives a file and what is at the other end, which is the same or nothing.
func (r *moving) read(path string) (data []byte, there account.Text, err error) {
	name := account.NameOfFile(path)
	data, err = safefile.ReadIn(r.dir, name+suffix, safefile.Rules{Forbidden: 0o077, MaxSize: account.MaxText})
	if err != nil {
		return nil, account.Text{}, problem{err}
	}
	person, err := r.From.Parse(path, name, data)
	if err == nil {
		err = person.Unreadable()
	}
	if err == nil {
		err = account.CheckEncrypted(path, data)
	}
	if err != nil {
		return nil, account.Text{}, problem{err}
	}
	there, err = r.to.Read(name)
	switch {
	case err == nil && !bytes.Equal(there.Data, data):
		return nil, account.Text{}, problem{fmt.Errorf("%s: %w", r.to.Path(name), errOther)}
	case err == nil:
		return data, there, nil
	case !errors.Is(err, account.ErrNotFound):
		return nil, account.Text{}, err
	case there.Revision > 0:
		return nil, account.Text{}, problem{fmt.Errorf("%s: %w", r.to.Path(name), errRemoved)}
	}
	return data, there, nil
}

// take has etcd have each of the files, and gives that another name then.
func (r *moving) take(paths []string) error {
	step := r.Progress("moved", len(paths))
	err := r.each(paths, func(path string) error {
		fresh, err := r.takeOne(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		step()
		r.result.People++
		if fresh {
			r.result.Copied++
		}
		return nil
	})
	return errors.Join(err, safefile.SyncDir(r.dir))
}

func (r *moving) takeOne(path string) (fresh bool, err error) {
	data, there, err := r.read(path)
	if err != nil {
		return false, err
	}
	r.at("read")
	name := account.NameOfFile(path)
	if fresh = len(there.Data) == 0; fresh {
		if err := r.to.Write(name, data, there); err != nil {
			return false, err
		}
	}
	r.at("written")
	if err := unix.Renameat(r.dir.Fd(), name+suffix, r.dir.Fd(), name+suffix+account.MovedSuffix); err != nil {
		return fresh, fmt.Errorf("give it another name: %w", err)
	}
	r.at("put away")
	return fresh, nil
}

// each does something with files, several at once, until one fails.
func (r *moving) each(paths []string, do func(path string) error) error {
	const atOnce = 16
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	work := make(chan string)
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for path := range work {
				if err := do(path); err != nil {
					stop(err)
				}
			}
		})
	}
	for _, path := range paths {
		if ctx.Err() != nil {
			break
		}
		work <- path
	}
	close(work)
	all.Wait()
	return context.Cause(ctx)
}
