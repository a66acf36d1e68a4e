package nss

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
)

// PasswdPath is the file of the machine's own accounts.
const PasswdPath = "/etc/passwd"

// NamesOf lists the login names of a uid: the first one, and those that
// /etc/passwd has besides. The C library gives no others by the uid: of names that
// a directory has, only the first is known.
func NamesOf(uid uint32) ([]string, error) { return (*Limit)(nil).NamesOf(uid) }

// NamesOf is [NamesOf] within the limit.
func (l *Limit) NamesOf(uid uint32) ([]string, error) {
	first, found, err := l.UserByID(uid)
	if err != nil {
		return nil, err
	}
	var names []string
	err = eachLocal(PasswdPath, func(name string, of uint32) {
		if of == uid {
			names = append(names, name)
		}
	})
	if err != nil {
		return nil, err
	}
	if found {
		names = append([]string{first.Name}, slices.DeleteFunc(names, func(name string) bool { return name == first.Name })...)
	}
	return names, nil
}

// isLocal says whether a file in the form of passwd(5) has such an account.
func isLocal(path string, matches func(name string, uid uint32) bool) (local bool) {
	// One that cannot be read has none: then it is as with any other name.
	_ = eachLocal(path, func(name string, uid uint32) { local = local || matches(name, uid) })
	return local
}

// LocalNames lists the names of each uid in a file in the form of passwd(5), in
// their order, and the uid of each name. Of lines with one name the first counts,
// as for the C library.
func LocalNames(path string) (names map[uint32][]string, uids map[string]uint32, err error) {
	type account struct {
		name string
		uid  uint32
	}
	var all []account
	err = eachLocal(path, func(name string, uid uint32) { all = append(all, account{name, uid}) })
	names, uids = make(map[uint32][]string, len(all)), make(map[string]uint32, len(all))
	ones := make([]string, len(all)) // most have one name, and a list of it
	for i, a := range all {
		if names[a.uid] == nil {
			ones[i] = a.name
			names[a.uid] = ones[i : i+1 : i+1]
		} else {
			names[a.uid] = append(names[a.uid], a.name)
		}
		if _, found := uids[a.name]; !found {
			uids[a.name] = a.uid
		}
	}
	return names, uids, err
}

// eachLocal gives the accounts of such a file to take. What is none is left out,
// as the C library does; a file that is not there has none.
func eachLocal(path string, take func(name string, uid uint32)) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if name, uid, ok := passwdLine(lines.Bytes()); ok {
			take(name, uid)
		}
	}
	return lines.Err()
}

// passwdLine reads a line of passwd(5) as the C library does: with blanks ahead of
// it or of a number, a colon in the shell, or an end behind the group. Those with a
// sign in front are of NIS.
func passwdLine(line []byte) (name string, uid uint32, ok bool) {
	const least = 4
	line = bytes.TrimLeft(line, blanks)
	fields := bytes.SplitN(line, []byte(":"), least+1)
	if len(fields) < least || bytes.IndexByte([]byte("+-#:"), line[0]) >= 0 {
		return "", 0, false
	}
	uid, ok = number(fields[2])
	_, has := number(fields[3])
	return string(fields[0]), uid, ok && has
}

const blanks = " \t\v\f\r"

func number(field []byte) (n uint32, ok bool) {
	digits := bytes.TrimPrefix(bytes.TrimLeft(field, blanks), []byte("+"))
	all, err := strconv.ParseUint(string(digits), 10, 32)
	return uint32(all), err == nil
}
