package pamfiles

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// writable finds files of pam.d, or the directory, that others than root can write:
// libpam reads them all the same.
func (e *Exam) writable() {
	files := append([]string{pamstack.AdminDir}, e.Machine.Glob(pamstack.AdminDir+"/*")...)
	hosts := map[string]bool{}
	for _, s := range e.Stacks {
		files = append(files, s.Files...)
		if unprivileged(s) {
			hosts[s.File] = true // whose own user may have to own it, to read it
		}
	}
	slices.Sort(files)
	for _, file := range slices.Compact(files) {
		info, err := os.Stat(e.Tree.Root + file)
		if err != nil {
			continue
		}
		owner, known := info.Sys().(*syscall.Stat_t)
		mode := info.Mode().Perm()
		others := mode&0o002 != 0 || mode&0o020 != 0 && known && owner.Gid != 0
		if !others && (!known || owner.Uid == 0 || hosts[file]) {
			continue
		}
		f := finding.Finding{Severity: finding.Error, ID: "pam-file-writable", File: file,
			What:    fmt.Sprintf("It has mode %04o and belongs to uid %d and gid %d, so that others than root can write it.", mode, owner.Uid, owner.Gid),
			Follows: "Whoever can write it lets in whom they like, without a code, and becomes root.",
			Fix:     "chown root:root " + file + " && chmod 644 " + file}
		if info.IsDir() {
			f.Fix = "chown root:root " + file + " && chmod 755 " + file
		}
		e.add(f)
	}
}
