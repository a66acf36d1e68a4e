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
	token       = safefile.Rules{Forbidden: 0o077, MaxSize: MaxToken + 2}
	privateKey  = safefile.Rules{Forbidden: 0o077, MaxSize: 64 << 10}
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
			problem = err.Error()
			if named.rules != certificate && errors.Is(err, fs.ErrNotExist) {
				problem += "; make it with (umask 077; cat >" + named.path + ")"
			}
			return problem, named.key
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
			namedFile{e.TokenFile, token, []string{"email", "token_file"}},
			namedFile{e.CAFile, certificate, []string{"email", "ca_file"}})
	}
	if s := c.SMS; s != nil {
		all = append(all, namedFile{s.PasswordFile, credential, []string{"sms", "password_file"}},
			namedFile{s.ProxyPasswordFile, credential, []string{"sms", "proxy_password_file"}},
			namedFile{s.CAFile, certificate, []string{"sms", "ca_file"}})
	}
	if l := c.Ledger; l != nil {
		all = append(all, namedFile{l.CAFile, certificate, []string{"ledger", "ca_file"}},
			namedFile{l.CertificateFile, certificate, []string{"ledger", "certificate_file"}},
			namedFile{l.KeyFile, privateKey, []string{"ledger", "key_file"}})
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

// MaxToken is how long a token may be. What RFC 4954 section 4 has servers take
// for it, 12288 bytes, is in base64, with a name beside it.
const MaxToken = 8 << 10

// ReadToken returns the token that the file at path has.
func ReadToken(path string) (string, error) {
	data, err := read(path, token)
	if err != nil {
		return "", err
	}
	line, problem := ParseToken(data)
	if problem != "" {
		return "", fmt.Errorf("%s: expected %s", path, problem)
	}
	return line, nil
}

// ParseToken takes a line with a token as RFC 6750 section 2.1 has it, or says
// what is expected.
func ParseToken(data []byte) (line, expected string) {
	line = strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/=", r)
	}
	if line == "" || len(line) > MaxToken || strings.ContainsFunc(line, strange) {
		return "", "one line with the token and nothing else"
	}
	return line, ""
}

// ReadCertificates returns the contents of the file at path, which nobody but
// its owner can write.
func ReadCertificates(path string) ([]byte, error) { return read(path, certificate) }

// ReadKey returns the contents of the file at path, which is its owner's alone.
func ReadKey(path string) ([]byte, error) { return read(path, privateKey) }

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
