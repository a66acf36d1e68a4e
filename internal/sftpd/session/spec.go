package session

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// SpecOf is what the person's worker is to be.
func SpecOf(user string, p *Person, settings config.SFTP) (messages.Spec, error) {
	s := messages.Spec{User: user, UID: p.UID, GID: p.GID, Groups: p.Groups, Home: p.Home, Umask: math.MaxUint32,
		ReadOnly: settings.ReadOnly, AllowRoot: settings.AllowRoot, Deny: settings.Deny.Texts()}
	if settings.Umask.Set {
		s.Umask = settings.Umask.Mask
	}
	if settings.Root == "" {
		s.Start = config.Expand(settings.StartDirectory, user, s.Home)
		return s, nil
	}
	s.Root = filepath.Clean(config.Expand(settings.Root, user, p.Home))
	// As in sshd: whoever can write the root, or above it, can leave it.
	dir, err := safefile.OpenDir(s.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("sftp.root: %w; make it with install -d -m 755 %s, see docs/sftpd.md", err, s.Root)
	}
	if err != nil {
		return s, fmt.Errorf("sftp.root: %w", err)
	}
	defer dir.Close()
	if err := checkRoot(s.Root); err != nil {
		return s, err
	}
	s.Home = homeBelow(s.Root, p.Home)
	s.Start = config.Expand(settings.StartDirectory, user, s.Home)
	return s, nil
}

// homeBelow is the home directory as seen below root.
func homeBelow(root, home string) string {
	if home == root {
		return "/"
	}
	if inside, found := strings.CutPrefix(home, root+"/"); found {
		return "/" + inside
	}
	return home
}
