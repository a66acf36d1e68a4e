package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// Rules of the files that the configuration names: a credential is for its
// owner alone, certificates may be read by all.
var (
	credential  = safefile.Rules{Forbidden: 0o077, MaxSize: 4 << 10}
	certificate = safefile.Rules{Forbidden: 0o022, MaxSize: 1 << 20}
)

// keyPath is a key whose value is a path, or nothing.
type keyPath struct{ key, path string }

// relative returns the first of these whose path is relative, and a problem.
func relative(paths ...keyPath) (problem string, key []string) {
	for _, p := range paths {
		if p.path != "" && !filepath.IsAbs(p.path) {
			return "expected an absolute path", []string{p.key}
		}
	}
	return "", nil
}

// checkFiles looks at the files that the configuration names, and into none of
// them. A reader who may not open them is no judge of them: the program that
// sends opens them again and is.
func (c Config) checkFiles() (problem string, key []string) {
	for _, named := range c.files() {
		file, err := open(named.path, named.rules)
		if err == nil {
			err = file.Close()
		}
		if err != nil && (unix.Geteuid() == 0 || !errors.Is(err, fs.ErrPermission)) {
			return err.Error(), named.key
		}
	}
	return "", nil
}

type namedFile struct {
	path  string
	rules safefile.Rules
	key   []string
}

func (c Config) files() []namedFile {
	var all []namedFile
	if e := c.Email; e != nil {
		all = append(all, namedFile{e.PasswordFile, credential, []string{"email", "password_file"}},
			namedFile{e.CAFile, certificate, []string{"email", "ca_file"}})
	}
	if s := c.SMS; s != nil {
		all = append(all, namedFile{s.PasswordFile, credential, []string{"sms", "password_file"}},
			namedFile{s.ProxyPasswordFile, credential, []string{"sms", "proxy_password_file"}},
			namedFile{s.CAFile, certificate, []string{"sms", "ca_file"}})
	}
	return slices.DeleteFunc(all, func(f namedFile) bool { return f.path == "" })
}

// ReadCredential returns the one line that the file at path has.
func ReadCredential(path string) (string, error) {
	data, err := read(path, credential)
	if err != nil {
		return "", err
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if line == "" || hasControl(line, "") {
		return "", fmt.Errorf("%s: expected one line with the password and nothing else", path)
	}
	return line, nil
}

// ReadCertificates returns the contents of the file at path, which nobody but
// its owner can write.
func ReadCertificates(path string) ([]byte, error) { return read(path, certificate) }

func read(path string, rules safefile.Rules) ([]byte, error) {
	file, err := open(path, rules)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return safefile.ReadOpen(file, rules)
}

// open takes the service user's directory too: a resident verifier that is not
// root has its credentials there.
func open(path string, rules safefile.Rules) (*safefile.File, error) {
	dir, err := safefile.OpenServiceDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return safefile.OpenIn(dir, filepath.Base(path), unix.O_RDONLY, rules)
}
