package tokenfile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Section 6 of RFC 6030 has how keys are encrypted: with a key that both sides have,
// or one that is made of a passphrase. Ciphers that do not notice a change have a
// MAC beside them, which is made of the encrypted value.

// opener opens the keys of a container.
type opener struct {
	key    []byte // nil: nothing is encrypted
	macKey []byte
	mac    func() hash.Hash
}

// What can be wrong with how a container is encrypted.
var (
	ErrNeedsKey        = errors.New("it is encrypted with a key that both sides have")
	ErrNeedsPassphrase = errors.New("it is encrypted with a passphrase")
	errWrongKey        = errors.New("the key or the passphrase is not the one that it was encrypted with, or it was changed since")
	errNotEncrypted    = errors.New("it is not encrypted, and something was given to open it: expected the container that this is for")
	errPlainKey        = errors.New("its key is not encrypted, where the container says that keys are: without a MAC, anybody may have put it there")
	errShortMACKey     = errors.New("its MACKey: expected 16 bytes or more; the key is not the one that it was encrypted with, or it was changed since")
	errNoMAC           = errors.New("its keys are encrypted, and there is no MAC that would show a change: it is not read")
)

func newOpener(root *element, options PSKCOptions) (*opener, error) {
	encryption, err := root.one("EncryptionKey")
	switch {
	case err != nil:
		return nil, err
	case encryption == nil && len(options.Key)+len(options.Passphrase) > 0:
		return nil, errNotEncrypted
	case encryption == nil:
		return &opener{}, nil
	}
	derived, err := encryption.one("DerivedKey")
	if err != nil {
		return nil, err
	}
	o := &opener{key: options.Key}
	switch {
	case derived != nil && len(options.Passphrase) == 0:
		return nil, ErrNeedsPassphrase
	case derived != nil:
		o.key, err = deriveKey(derived, options.Passphrase)
	case len(encryption.all("X509Data")) > 0 || len(encryption.all("EncryptedKey")) > 0:
		err = errors.New("it is encrypted for a certificate, which is not read: expected a key that both sides have, or a passphrase")
	case len(options.Key) == 0:
		return nil, ErrNeedsKey
	}
	if err != nil {
		return nil, err
	}
	return o, o.setMAC(root)
}

// minMACKey is how many bytes the key of a MAC has at least: those of one block.
const minMACKey = aes.BlockSize

// setMAC reads how changes are noticed. Without a key of its own the MAC is made with
// the key of the encryption, as programs do that follow the drafts of the RFC.
func (o *opener) setMAC(root *element) error {
	method, err := root.one("MACMethod")
	if err != nil || method == nil {
		return err // whether one is needed turns out at the first value
	}
	if o.mac, err = hashOf(method.attrs["Algorithm"]); err != nil {
		return fmt.Errorf("its MACMethod: %w", err)
	}
	key, err := method.one("MACKey")
	if err != nil {
		return err
	}
	if o.macKey = o.key; key != nil {
		sealed, err := o.cipherValue(key)
		if err != nil {
			return err
		}
		// No MAC is over this one. Whoever turned bits of its padding over would
		// know all of a key of no bytes, and could make any MAC.
		if o.macKey, err = o.decrypt(sealed); err == nil && len(o.macKey) < minMACKey {
			err = errShortMACKey
		}
		return err
	}
	return nil
}

// hashOf is the hash of an HMAC, by the end of its name: the part in front differs
// between XML signatures and PKCS #5.
func hashOf(algorithm string) (func() hash.Hash, error) {
	switch strings.ToLower(algorithm[strings.LastIndexByte(algorithm, '#')+1:]) {
	case "hmac-sha1":
		return sha1.New, nil
	case "hmac-sha256":
		return sha256.New, nil
	case "hmac-sha512":
		return sha512.New, nil
	}
	return nil, errors.New("expected hmac-sha1, hmac-sha256 or hmac-sha512")
}

// maxIterations is far above what anybody uses, and takes some seconds.
const maxIterations = 10_000_000

// deriveKey makes the key of a passphrase, see section 6.1.
func deriveKey(derived *element, passphrase []byte) ([]byte, error) {
	method, err := derived.one("KeyDerivationMethod")
	if err != nil {
		return nil, err
	}
	if method == nil || !strings.HasSuffix(method.attrs["Algorithm"], "#pbkdf2") {
		return nil, errors.New("its KeyDerivationMethod: expected PBKDF2")
	}
	parameters, err := method.one("PBKDF2-params")
	if err != nil {
		return nil, err
	}
	given := map[string]*element{}
	for _, name := range []string{"IterationCount", "KeyLength", "PRF"} {
		if given[name], err = parameters.one(name); err != nil {
			return nil, err
		}
	}
	salted, err := parameters.at("Salt", "Specified")
	if err != nil {
		return nil, err
	}
	salt, err := decode64(salted.value())
	if err != nil || len(salt) == 0 {
		return nil, errors.New("its Salt: expected base64")
	}
	iterations, err := smallIn("IterationCount", given["IterationCount"], 1, maxIterations)
	if err != nil {
		return nil, err
	}
	length, err := smallIn("KeyLength", given["KeyLength"], 16, 32)
	if err != nil {
		return nil, err
	}
	prf := func() hash.Hash { return sha1.New() }
	if named := given["PRF"]; named != nil && named.attrs["Algorithm"] != "" {
		if prf, err = hashOf(named.attrs["Algorithm"]); err != nil {
			return nil, fmt.Errorf("its PRF: %w", err)
		}
	}
	return pbkdf2.Key(prf, string(passphrase), salt, iterations, length)
}

func smallIn(name string, from *element, least, most int) (int, error) {
	n, err := number("its "+name, from.value())
	if err != nil || n < int64(least) || n > int64(most) {
		return 0, fmt.Errorf("its %s: expected a number from %d to %d", name, least, most)
	}
	return int(n), nil
}

// secret reads a value, and opens it if it is encrypted. No value is decrypted before
// its MAC is right, and where values are encrypted none is taken without one.
func (o *opener) secret(holder *element) ([]byte, error) {
	plain, err := holder.one("PlainValue")
	if err != nil {
		return nil, err
	}
	sealedIn, err := holder.one("EncryptedValue")
	if err != nil {
		return nil, err
	}
	switch {
	case (plain == nil) == (sealedIn == nil):
		return nil, errors.New("its key: expected either a PlainValue or an EncryptedValue")
	case plain != nil && o.key != nil:
		return nil, errPlainKey
	case plain != nil:
		value, err := decode64(plain.value())
		if err != nil {
			return nil, fmt.Errorf("its key: %w", err)
		}
		return value, nil
	case o.key == nil:
		return nil, errors.New("its key is encrypted, and the container has no EncryptionKey that says how")
	}
	sealed, err := o.cipherValue(sealedIn)
	if err != nil {
		return nil, err
	}
	if err := o.checkMAC(holder, sealed); err != nil {
		return nil, err
	}
	return o.decrypt(sealed)
}

func (o *opener) checkMAC(holder *element, sealed []byte) error {
	written, err := holder.one("ValueMAC")
	if err != nil {
		return err
	}
	if written == nil || o.mac == nil {
		return errNoMAC
	}
	found, err := decode64(written.value())
	if err != nil {
		return fmt.Errorf("its ValueMAC: %w", err)
	}
	computed := hmac.New(o.mac, o.macKey)
	computed.Write(sealed)
	if !hmac.Equal(found, computed.Sum(nil)) {
		return errWrongKey
	}
	return nil
}

// cipherValue reads what is encrypted, an initialization vector and blocks of AES.
func (o *opener) cipherValue(holder *element) ([]byte, error) {
	method, err := holder.one("EncryptionMethod")
	if err != nil {
		return nil, err
	}
	bits := map[string]int{"aes128-cbc": 16, "aes192-cbc": 24, "aes256-cbc": 32}
	name, length := "", 0
	if method != nil {
		name = method.attrs["Algorithm"]
		length = bits[name[strings.LastIndexByte(name, '#')+1:]]
	}
	value, err := holder.at("CipherData", "CipherValue")
	switch {
	case err != nil:
		return nil, err
	case length == 0:
		return nil, errors.New("its EncryptionMethod: expected aes128-cbc, aes192-cbc or aes256-cbc")
	case length != len(o.key):
		return nil, fmt.Errorf("it needs a key of %d bytes, found one of %d", length, len(o.key))
	}
	sealed, err := decode64(value.value())
	if err != nil || len(sealed) < 2*aes.BlockSize || len(sealed)%aes.BlockSize != 0 {
		return nil, errors.New("its CipherValue: expected two or more blocks of AES in base64")
	}
	return sealed, nil
}

// decrypt takes the last byte for the length of the padding (XML Encryption,
// section 5.2).
func (o *opener) decrypt(sealed []byte) ([]byte, error) {
	block, err := aes.NewCipher(o.key)
	if err != nil {
		return nil, errWrongKey
	}
	open := make([]byte, len(sealed)-aes.BlockSize)
	cipher.NewCBCDecrypter(block, sealed[:aes.BlockSize]).CryptBlocks(open, sealed[aes.BlockSize:])
	padding := int(open[len(open)-1])
	if padding < 1 || padding > aes.BlockSize {
		return nil, errWrongKey
	}
	return open[:len(open)-padding], nil
}
