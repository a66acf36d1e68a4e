package usercert

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/authkeys"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
)

// userCertificate is SSH_CERT_TYPE_USER; 2 is a host's.
const userCertificate = 1

// Check says why the certificate is not good now, for a connection from remote.
// Errors say what is wrong for the log.
func (c Certificate) Check(remote netip.Addr, now time.Time) error {
	if c.kind != userCertificate {
		return errors.New("it is not a user's certificate")
	}
	if len(c.Principals) == 0 {
		// On a line of authorized_keys OpenSSH 9.2 takes it for everybody's.
		return errors.New("it names no principals")
	}
	if err := c.checkValidity(now); err != nil {
		return err
	}
	if err := c.checkCritical(remote); err != nil {
		return err
	}
	return c.checkSignature()
}

func (c Certificate) checkValidity(now time.Time) error {
	at := uint64(max(now.Unix(), 0))
	switch {
	case at < c.validAfter:
		return fmt.Errorf("it is not valid before %s", stamp(c.validAfter))
	case at >= c.validBefore:
		return fmt.Errorf("it was valid until %s", stamp(c.validBefore))
	}
	return nil
}

func stamp(seconds uint64) string {
	return time.Unix(int64(min(seconds, math.MaxUint32)), 0).UTC().Format(time.RFC3339)
}

// checkCritical refuses what is not known, as an authority relies on that.
func (c Certificate) checkCritical(remote netip.Addr) error {
	seen := map[string]bool{}
	for _, o := range c.critical {
		if seen[o.name] {
			return fmt.Errorf("it has the critical option %q twice", o.name)
		}
		seen[o.name] = true
		value := ""
		if len(o.value) > 0 {
			r := fields.NewReader(o.value)
			if value = r.Text(); r.Done() != nil {
				return fmt.Errorf("its critical option %q is malformed", o.name)
			}
		}
		switch {
		case o.name == "verify-required" && len(o.value) == 0:
		case o.name == "force-command" && value == "internal-sftp":
		case o.name == "force-command":
			return errors.New("it forces a command; expected none or internal-sftp")
		case o.name == "source-address" && authkeys.InNetworks(value, remote):
		case o.name == "source-address":
			return fmt.Errorf("it is good from %s alone", value)
		default:
			return fmt.Errorf("its critical option %q is not known", o.name)
		}
	}
	return nil
}

var errSignature = errors.New("its authority's signature is not right")

func (c Certificate) checkSignature() error {
	var signature ssh.Signature
	if err := ssh.Unmarshal(c.signature, &signature); err != nil {
		return errSignature
	}
	kind := fields.NewReader(c.Authority).Text()
	if len(signature.Rest) > 0 && kind != ssh.KeyAlgoSKED25519 && kind != ssh.KeyAlgoSKECDSA256 {
		return errSignature
	}
	if !slices.Contains(algorithms.Signatures(kind), signature.Format) {
		return fmt.Errorf("its authority's key is of kind %.40q and signed with %.40q, which is not taken", kind, signature.Format)
	}
	authority, err := ssh.ParsePublicKey(c.Authority)
	if err != nil {
		return errSignature
	}
	if err := authority.Verify(c.signed, &signature); err != nil {
		return errSignature
	}
	return nil
}
