package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
)

// hostKey signs for the server. It never leaves this process.
type hostKey struct {
	signer ssh.AlgorithmSigner
	public []byte // as on the wire
}

// keyMakers make the keys whose file is missing, by its name. They are as
// ssh-keygen -A makes them.
var keyMakers = map[string]func() (crypto.Signer, error){
	"ssh_host_ed25519_key": func() (crypto.Signer, error) { _, key, err := ed25519.GenerateKey(rand.Reader); return key, err },
	"ssh_host_ecdsa_key":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	slowKey:                func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 3072) },
}

// slowKey takes a second to make, or many on a small machine.
const slowKey = "ssh_host_rsa_key"

// hostKeys are what the files had.
type hostKeys struct {
	keys     []hostKey
	later    bool    // one is missing that takes long to make
	problems []error // with what could not be made, where others are there
}

// loadHostKeys reads the files. One that is missing is made if its name says of
// what kind, in their order; with later one that takes long is left out, unless
// there would be none.
func loadHostKeys(paths []string, later bool) (found hostKeys, err error) {
	for _, path := range paths {
		text, err := safefile.Read(path, safefile.Rules{Forbidden: 0o077, MaxSize: 64 << 10})
		if errors.Is(err, fs.ErrNotExist) {
			if keyMakers[filepath.Base(path)] == nil {
				return hostKeys{}, fmt.Errorf("sftp.host_keys: %s is missing; only ssh_host_ed25519_key, ssh_host_ecdsa_key and ssh_host_rsa_key are made by themselves, make others with ssh-keygen", path)
			}
			if later && filepath.Base(path) == slowKey {
				found.later = true
				continue
			}
			if text, err = makeHostKey(path); err != nil {
				found.problems = append(found.problems, fmt.Errorf("sftp.host_keys: make %s: %w", path, err))
				continue
			}
		}
		if err != nil {
			return hostKeys{}, fmt.Errorf("sftp.host_keys: %w", err)
		}
		key, err := parseHostKey(path, text)
		if err != nil {
			return hostKeys{}, fmt.Errorf("sftp.host_keys: %w", err)
		}
		for _, other := range found.keys {
			if other.signer.PublicKey().Type() == key.signer.PublicKey().Type() {
				return hostKeys{}, fmt.Errorf("sftp.host_keys: %s: a second key of kind %s", path, key.signer.PublicKey().Type())
			}
		}
		found.keys = append(found.keys, key)
	}
	switch {
	case len(found.keys) > 0:
		return found, nil
	case found.later:
		return loadHostKeys(paths, false)
	}
	return hostKeys{}, errors.Join(found.problems...)
}

func parseHostKey(path string, text []byte) (hostKey, error) {
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		// What is wrong with a private key is not for the log.
		return hostKey{}, fmt.Errorf("%s: expected a private key without a passphrase", path)
	}
	own, ok := signer.(ssh.AlgorithmSigner)
	if !ok || algorithms.HostKeySignatures(signer.PublicKey().Type()) == nil {
		return hostKey{}, fmt.Errorf("%s: a key of kind %s is not taken; expected ed25519, ECDSA or RSA", path, signer.PublicKey().Type())
	}
	return hostKey{own, signer.PublicKey().Marshal()}, nil
}

// makeHostKey writes a new key of the kind that the name says, and returns the
// file's text.
func makeHostKey(path string) ([]byte, error) {
	name := filepath.Base(path)
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	dir, err := safefile.OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	private, err := keyMakers[name]()
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(block)
	// Somebody may have run ssh-keygen meanwhile.
	if theirs, err := safefile.ReadIn(dir, name, safefile.Rules{Forbidden: 0o077, MaxSize: 64 << 10}); !errors.Is(err, fs.ErrNotExist) {
		return theirs, err
	}
	if err := safefile.Replace(dir, name+".pub", ssh.MarshalAuthorizedKey(public), 0o644); err != nil {
		return nil, err
	}
	if err := safefile.Replace(dir, name, text, 0o600); err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "otpgate-sftpd: made the host key %s, %s\n", path, ssh.FingerprintSHA256(public))
	return text, nil
}

// hostKeyFiles are the files that count. Servers had an ed25519 key alone once:
// where the list is nobody's own, such a one stays so, as a client that knows
// the one key and prefers another kind would not know the server any more.
func hostKeyFiles(settings config.SFTP) []string {
	gone := func(path string) bool {
		_, err := os.Lstat(path)
		return errors.Is(err, fs.ErrNotExist)
	}
	if settings.HostKeysNamed {
		return settings.HostKeys
	}
	there := slices.DeleteFunc(slices.Clone(settings.HostKeys), gone)
	if len(there) == 1 && filepath.Base(there[0]) == "ssh_host_ed25519_key" {
		return there
	}
	return settings.HostKeys
}

// openHostKeys takes the keys of the files for connections from now on.
func (b *broker) openHostKeys() (later bool, err error) {
	found, err := loadHostKeys(hostKeyFiles(b.settings().SFTP), true)
	if err != nil {
		return false, err
	}
	b.mu.Lock()
	b.keys = found.keys
	b.mu.Unlock()
	b.reportKeys(found)
	return found.later, nil
}

// finishHostKeys has the key made that takes long, without waiting for it.
func (b *broker) finishHostKeys() {
	if b.keysLater {
		go b.makeSlowKeys()
	}
}

// makeSlowKeys makes what openHostKeys left out, and takes that too.
func (b *broker) makeSlowKeys() {
	b.slowKeys.Lock()
	defer b.slowKeys.Unlock()
	for {
		settings := b.settings().SFTP
		found, err := loadHostKeys(hostKeyFiles(settings), false)
		if err != nil {
			b.report("sftp.host_keys", err)
			return
		}
		if b.takeSlowKeys(settings.HostKeys, found.keys) {
			b.reportKeys(found)
			b.tellFronts()
			return
		}
	}
}

// takeSlowKeys says whether the files are still those of the configuration.
func (b *broker) takeSlowKeys(paths []string, keys []hostKey) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	same := slices.Equal(paths, b.engine.Config.SFTP.HostKeys)
	if same {
		b.keys = keys
	}
	return same
}

// reportKeys says which keys there are none of. The others keep nobody out but
// whose client knows no other kind.
func (b *broker) reportKeys(found hostKeys) {
	for _, problem := range found.problems {
		b.report("sftp.host_keys", problem)
	}
}
