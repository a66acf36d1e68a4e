package ledger

import (
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// SetFault has step called at each step of a write; an error fails that step.
func (f *Files) SetFault(step func(name string) error) { f.fault = step }

// NoRenameNew has the file system say that it cannot rename without replacing.
func (f *Files) NoRenameNew() {
	f.renameNew = func(*safefile.File, location) error { return unix.EINVAL }
}
