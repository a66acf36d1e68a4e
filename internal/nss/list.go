package nss

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// keyUnknown is the exit status of getent(1) for a key that no service knows.
const keyUnknown = 2

// List returns the entries of a database such as "group", or that of one key; a key
// that is not known has none. The C library alone can list what all of the name services
// know, and getent(1) is its way to be asked from a program.
func List(ctx context.Context, database string, key ...string) ([][]string, error) {
	if slices.ContainsFunc(key, func(name string) bool { return name == "" || name[0] == '-' }) {
		return nil, nil // not every getent takes -- before a name
	}
	text, err := exec.CommandContext(ctx, "getent", append([]string{database}, key...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == keyUnknown && len(key) > 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the %s database with getent: %w", database, err)
	}
	return Entries(text), nil
}

// Entries are those of a file such as /etc/group, each taken apart at its colons. There
// may be very many, so that all fields lie in one piece of memory.
func Entries(text []byte) (entries [][]string) {
	all := string(text)
	lines := strings.Count(all, "\n") + 1
	entries = make([][]string, 0, lines)
	fields := make([]string, 0, strings.Count(all, ":")+lines)
	for line := range strings.Lines(all) {
		first := len(fields)
		for field := range strings.SplitSeq(strings.TrimRight(line, "\r\n"), ":") {
			fields = append(fields, field)
		}
		entries = append(entries, fields[first:len(fields):len(fields)])
	}
	return entries
}

// ListedMembers are those in the own list of an entry of a group.
func ListedMembers(entry []string) []string {
	const list = 3
	if len(entry) <= list {
		return nil
	}
	return strings.FieldsFunc(entry[list], func(r rune) bool { return r == ',' || r == ' ' })
}
