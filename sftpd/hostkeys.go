package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
)

// hostKey signs for the server. It never leaves this process.
type hostKey struct {
	signer ssh.AlgorithmSigner
	public []byte // as on the wire
}

// loadHostKeys reads the files. One that is missing is made if it is to be an
// ed25519 key, which is what a name without another kind in it says.
func loadHostKeys(paths []string) ([]hostKey, error) {
	var keys []hostKey
	for _, path := range paths {
		text, err := safefile.Read(path, safefile.Rules{Forbidden: 0o077, MaxSize: 64 << 10})
		if errors.Is(err, fs.ErrNotExist) {
			text, err = makeHostKey(path)
		}
		if err != nil {
			return nil, fmt.Errorf("sftp.host_keys: %w", err)
		}
		signer, err := ssh.ParsePrivateKey(text)
		if err != nil {
			// What is wrong with a private key is not for the log.
			return nil, fmt.Errorf("sftp.host_keys: %s: expected a private key without a passphrase", path)
		}
		own, ok := signer.(ssh.AlgorithmSigner)
		if !ok || algorithms.HostKeySignatures(signer.PublicKey().Type()) == nil {
			return nil, fmt.Errorf("sftp.host_keys: %s: a key of kind %s is not taken; expected ed25519, ECDSA or RSA", path, signer.PublicKey().Type())
		}
		for _, other := range keys {
			if other.signer.PublicKey().Type() == signer.PublicKey().Type() {
				return nil, fmt.Errorf("sftp.host_keys: %s: a second key of kind %s", path, signer.PublicKey().Type())
			}
		}
		keys = append(keys, hostKey{own, signer.PublicKey().Marshal()})
	}
	return keys, nil
}

func makeHostKey(path string) ([]byte, error) {
	if filepath.Base(path) != "ssh_host_ed25519_key" {
		return nil, fmt.Errorf("%s is missing; only ssh_host_ed25519_key is made by itself, make others with ssh-keygen", path)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	dir, err := safefile.OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	known, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(block)
	if err := safefile.Replace(dir, filepath.Base(path)+".pub", ssh.MarshalAuthorizedKey(known), 0o644); err != nil {
		return nil, err
	}
	return text, safefile.Replace(dir, filepath.Base(path), text, 0o600)
}
