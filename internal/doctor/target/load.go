package target

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// load asks the system's loader whether a module can be loaded, in a process of
// its own that lists what it would load and runs nothing of it. It returns what
// dlopen would say, nil if the module can be loaded, and ErrNotTold if that cannot
// be told.
func load(ctx context.Context, path string) error {
	loader, err := ownLoader()
	if err != nil || !strings.HasPrefix(filepath.Base(loader), "ld-linux") {
		return fmt.Errorf("%w: %s is not glibc's loader", ErrNotTold, loader) // only that is known to run nothing here
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, loader, path)
	// As libpam does: all symbols at once, and its own are there already.
	cmd.Env = []string{"LD_TRACE_LOADED_OBJECTS=1", "LD_BIND_NOW=1", "LD_WARN=yes", "LD_PRELOAD=libpam.so.0", "LC_ALL=C"}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	listed, err := cmd.Output()
	if said := refusal(path, complaint.String(), string(listed)); said != "" {
		return errors.New(said)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: the loader itself failed: %w", path, err)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrNotTold, ctx.Err())
	}
	return nil
}

// ErrNotTold is wrapped if it cannot be told whether a module can be loaded.
var ErrNotTold = errors.New("no loader says so")

// ownLoader is the loader of this program, and so that of the programs that log
// people in: all are the distribution's or were built here.
func ownLoader() (string, error) {
	file, err := elf.Open("/proc/self/exe")
	if err != nil {
		return "", err
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type != elf.PT_INTERP {
			continue
		}
		name := make([]byte, part.Filesz)
		if _, err := part.ReadAt(name, 0); err != nil {
			return "", err
		}
		return strings.TrimRight(string(name), "\x00"), nil
	}
	return "", os.ErrNotExist
}

var (
	libraryMissing = regexp.MustCompile(`(?m)^\t(\S+) => not found$`)
	symbolMissing  = regexp.MustCompile(`^undefined symbol: (.+)\t\((.+)\)$`)
)

// refusal is dlopen's word for what the loader said, "" if that was no complaint.
func refusal(path, complaint, listed string) string {
	if missing := libraryMissing.FindStringSubmatch(listed); missing != nil {
		return missing[1] + ": cannot open shared object file: No such file or directory"
	}
	first, _, _ := strings.Cut(complaint, "\n")
	if symbol := symbolMissing.FindStringSubmatch(first); symbol != nil {
		return symbol[2] + ": undefined symbol: " + symbol[1]
	}
	first = strings.TrimPrefix(first, path+": ")
	return strings.TrimPrefix(first, "error while loading shared libraries: ")
}
