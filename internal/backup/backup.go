// Package backup writes secret files and what was used of them to a tar
// archive, and reads it again.
//
// The entry points are [NewWriter] and [Read]. The archive is not encrypted:
// that is the caller's part, around both. It has, for each person, the secret
// file as it is in users/NAME.toml and what the ledger knows to be used in
// used/NAME.json, so that tar(1) can take it apart as well.
package backup

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
)

const (
	usersDir, usersEnd = "users", ".toml"
	usedDir, usedEnd   = "used", ".json"
)

// maxMember is above what either may be, a secret file and an entry of the
// ledger, in bytes.
const maxMember = 256 << 10

// maxPeople bounds what is kept in memory of an archive.
const maxPeople = 1 << 20

// Writer writes an archive.
type Writer struct {
	tar *tar.Writer
	now time.Time
}

// NewWriter begins an archive. now is the time that its members get.
func NewWriter(to io.Writer, now time.Time) *Writer {
	return &Writer{tar.NewWriter(to), now}
}

// Add writes one person.
func (w *Writer) Add(b admin.Backup) error {
	used, err := json.MarshalIndent(b.Entry, "", "  ")
	if err != nil {
		return err
	}
	if err := w.member(usersDir+"/"+b.User+usersEnd, b.Text); err != nil {
		return err
	}
	return w.member(usedDir+"/"+b.User+usedEnd, append(used, '\n'))
}

func (w *Writer) member(name string, data []byte) error {
	header := tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(data)), ModTime: w.now.Truncate(time.Second)}
	if err := w.tar.WriteHeader(&header); err != nil {
		return err
	}
	_, err := w.tar.Write(data)
	return err
}

// Close ends the archive. It is not whole without.
func (w *Writer) Close() error { return w.tar.Close() }

// Read reads an archive to its end. It returns the people in the order of their
// secret files; somebody without one, or without the other half, is an error,
// and so is every member that Writer does not write.
func Read(from io.Reader) ([]admin.Backup, error) {
	found := map[string]*admin.Backup{}
	var names []string
	used := map[string]bool{}
	for archive := tar.NewReader(from); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the backup: %w", err)
		}
		name, isUsed, err := nameOf(header)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("read the backup: %s: %w", header.Name, err)
		}
		if found[name] == nil {
			found[name] = &admin.Backup{User: name}
		}
		switch {
		case isUsed && used[name], !isUsed && found[name].Text != nil:
			return nil, fmt.Errorf("read the backup: %s is in it twice", header.Name)
		case isUsed:
			used[name] = true
			if err := json.Unmarshal(data, &found[name].Entry); err != nil {
				return nil, fmt.Errorf("read the backup: %s: %w", header.Name, err)
			}
		default:
			found[name].Text = data
			names = append(names, name)
		}
		if len(found) > maxPeople {
			return nil, fmt.Errorf("read the backup: over %d people", maxPeople)
		}
	}
	return whole(found, names, used)
}

// whole sees to it that of everybody who was found, names has the secret file
// and used what was used.
func whole(found map[string]*admin.Backup, names []string, used map[string]bool) (people []admin.Backup, err error) {
	for _, name := range names {
		if !used[name] {
			return nil, fmt.Errorf("read the backup: %s/%s%s is missing", usedDir, name, usedEnd)
		}
		people = append(people, *found[name])
	}
	if len(people) != len(found) {
		return nil, errors.New("read the backup: there is somebody in it without a secret file")
	}
	return people, nil
}

func nameOf(header *tar.Header) (name string, isUsed bool, err error) {
	dir, file := path.Split(header.Name)
	end := usersEnd
	if isUsed = dir == usedDir+"/"; isUsed {
		end = usedEnd
	}
	name, ok := strings.CutSuffix(file, end)
	if !ok || !isUsed && dir != usersDir+"/" || header.Typeflag != tar.TypeReg || header.Size > maxMember || account.CheckName(name) != nil {
		return "", false, fmt.Errorf("read the backup: %q: expected files of up to %d bytes in %s and %s", header.Name, maxMember, usersDir, usedDir)
	}
	return name, isUsed, nil
}
