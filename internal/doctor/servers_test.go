package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/remote"
	"github.com/otpgate/otpgate/internal/remotelogin"
)

// ask gives what a set-up says of its servers, and is none if it says nothing.
func (p *patient) ask() remote.Ask {
	if p.looks == nil {
		return nil
	}
	return func(_ context.Context, settings config.Remote) []remotelogin.Look {
		for i := range p.looks {
			unknown, ok := errors.AsType[remotelogin.UnknownKeyError](p.looks[i].Err)
			switch {
			case p.looks[i].Err == nil && p.looks[i].Key == config.KeyHash{}:
				p.looks[i].Key = settings.ServerKeys[min(i, len(settings.ServerKeys)-1)]
			case ok:
				p.looks[i].Key = unknown.Key
			}
		}
		return p.looks
	}
}

// serverFact is what a server of a client says: ADDRESS WHERE WHAT, and more words.
// Where is an address, or a dash for none.
func (p *patient) serverFact(words []string) error {
	look := remotelogin.Look{Server: words[0]}
	if words[1] != "-" {
		for _, address := range strings.Split(words[1], ",") {
			look.Addresses = append(look.Addresses, netip.MustParseAddr(address))
		}
	}
	host, _, _ := strings.Cut(words[0], ":")
	var err error
	switch more := words[3:]; words[2] {
	case "takes": // LEDGER [AHEAD]
		look.Ledger = more[0]
		if len(more) > 1 {
			look.Ahead, err = time.ParseDuration(more[1])
		}
	case "unresolved":
		look.Err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	case "closed":
		look.Err = &net.OpError{Op: "dial", Net: "tcp", Err: unix.ECONNREFUSED}
	case "unroutable":
		look.Err = &net.OpError{Op: "dial", Net: "tcp", Err: unix.EHOSTUNREACH}
	case "silent":
		look.Err = context.DeadlineExceeded
	case "silent-later":
		look.Key, look.Err = config.KeyHash{1}, context.DeadlineExceeded
	case "unknown-key":
		look.Err = remotelogin.UnknownKeyError{Key: config.KeyHash{2}}
	case "refused":
		look.Err = remotelogin.RefusedError{Key: config.KeyHash{3}}
	case "busy": // REASON
		look.Err = remotelogin.BusyError{Reason: strings.Join(more, " ")}
	default:
		err = fmt.Errorf("%q: not understood", words[2])
	}
	p.looks = slices.Clip(append(p.looks, look))
	return err
}
