package target

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
)

// readable has sshd asked only if all that it would read are files: it waits for a
// FIFO, and reads a device without an end. One that takes too long is asked no more.
func (m *Machine) readable(ask func(context.Context, Query) (string, error)) func(context.Context, Query) (string, error) {
	var slow error
	return func(ctx context.Context, query Query) (string, error) {
		if slow != nil {
			return "", slow
		}
		if err := m.oddFile(cmp.Or(query.Config, SSHDConfig), 0); err != nil {
			return "", err
		}
		text, err := ask(ctx, query)
		if errors.Is(err, context.DeadlineExceeded) {
			slow = err
		}
		return text, err
	}
}

// oddFile says why one of the files that sshd would read is none.
func (m *Machine) oddFile(path string, depth int) error {
	_, err := Read(m.Root, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, line := range Lines(m.Root, path, depth) {
		words := strings.Fields(strings.ReplaceAll(line, "=", " "))
		if len(words) < 2 || !strings.EqualFold(words[0], "include") {
			continue
		}
		for _, pattern := range words[1:] {
			pattern = strings.TrimPrefix(strings.Trim(pattern, `"`), m.Root)
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(SSHDConfig), pattern)
			}
			for _, included := range m.Glob(pattern) {
				if err := m.oddFile(included, depth+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
