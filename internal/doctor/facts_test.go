package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
)

// moreFacts are lines of "machine" about what cannot be looked at, and about where
// files lie.
func (p *patient) moreFacts(words []string) error {
	roomy := target.Space{Bytes: 1 << 40, Files: 1 << 20, Total: 1 << 20}
	switch words[0] {
	case "label": // FILE CONTEXT
		p.machine.Label = func(path string) string {
			if path == "/"+words[1] {
				return words[2]
			}
			return "system_u:object_r:lib_t:s0"
		}
	case "ledger-in-memory":
		roomy.Volatile = true
		p.machine.Space = func(string) target.Space { return roomy }
	case "untried-disk":
		roomy.Untried = errors.New("its file system has no files without a name")
		p.machine.Space = func(string) target.Space { return roomy }
	case "unknown-members":
		p.machine.Member = func(string, string) (bool, error) {
			return false, errors.New("look up group: connection refused")
		}
	case "unknown-loader":
		p.machine.Load = func(context.Context, string) error {
			return fmt.Errorf("%w: /lib/ld-musl-x86_64.so.1 is not glibc's loader", target.ErrNotTold)
		}
	case "unseen-verifier":
		p.machine.Verifier = func(string) target.Listener { return target.Listener{PID: 17} }
	case "server":
		return p.serverFact(words[1:])
	case "member":
		return p.memberFact(words[1:])
	case "ledger-unreachable":
		p.sharedErr = errors.New("no answer: connect to otpgate-ledgerd at /run/otpgate/ledger.sock: " + strings.Join(words[1:], " "))
	default:
		return errors.New("not understood")
	}
	return nil
}
