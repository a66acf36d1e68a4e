package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

const coreName = "pam_otpgate_core.so"

// modules finds lines whose module is not there, or cannot be loaded.
func (e *exam) modules(ctx context.Context) {
	looked := map[string]bool{}
	for _, s := range e.stacks {
		for _, line := range s.Lines {
			if line.Kind != pamstack.Module {
				continue
			}
			path, found := e.Machine.Module(line.Module)
			switch {
			case !found && authstack.Ours(line):
				e.add(finding.At(line.Position, finding.Finding{Severity: finding.Error, ID: "module-missing", Services: []string{s.Service},
					What:    "The module " + line.Module + " is not in libpam's directories.",
					Follows: e.fails(s, line),
					Fix:     "Install the package again, or take the line out: otpctl pam disable " + s.Service}))
			case !found && (!line.Silent || e.changes(s)):
				e.add(e.anothers(s, line, finding.Finding{ID: "other-module-missing",
					What: "The module " + line.Module + " is not in libpam's directories.",
					Fix:  "Install what it belongs to, or take the line out."}))
			case found && authstack.Ours(line) && !looked[path]:
				looked[path] = true
				e.module(ctx, s, line, path)
			case found && !looked[path]:
				looked[path] = true
				e.unloadable(ctx, path, e.anothers(s, line, finding.Finding{ID: "other-module-unloadable",
					Fix: "Install the one that belongs to this system, or take the line out."}))
			}
		}
	}
}

// module looks at the files of our module.
func (e *exam) module(ctx context.Context, s authstack.Stack, line pamstack.Line, path string) {
	core, service := filepath.Join(filepath.Dir(path), coreName), s.Service
	for _, file := range []string{path, core} {
		info, err := os.Stat(e.Machine.Root + file)
		if err != nil {
			continue
		}
		e.label(service, file)
		owner, known := info.Sys().(*syscall.Stat_t)
		if mode := info.Mode().Perm(); mode&0o022 != 0 || known && owner.Uid != 0 {
			e.add(finding.Finding{Severity: finding.Error, ID: "module-writable", Services: []string{service}, File: file,
				What:    fmt.Sprintf("The file has mode %04o and belongs to uid %d.", mode, owner.Uid),
				Follows: "Whoever can write it can let anybody in, and run code as root.",
				Fix:     fmt.Sprintf("chown root:root %s && chmod 644 %s", file, file)})
		}
	}
	e.unloadable(ctx, path, finding.At(line.Position, finding.Finding{Severity: finding.Error, ID: "module-unloadable", Services: []string{service},
		Follows: e.fails(s, line),
		Fix:     "Install a package that was built on this release or an older one, or take the line out: otpctl pam disable " + service}))
	if _, err := os.Stat(e.Machine.Root + core); err != nil && line.Arg("verifier") != "" && line.Arg("verifier") != "off" {
		return // that line has a verifier of its own, see there
	}
	if _, err := os.Stat(e.Machine.Root + core); err != nil {
		e.add(finding.At(line.Position, finding.Finding{Severity: finding.Error, ID: "core-missing", Services: []string{service},
			What:    core + " is not there: " + err.Error() + ".",
			Follows: "Without a resident verifier every login is denied.",
			Fix:     "Install the package again: both files belong into one directory."}))
		return
	}
	e.unloadable(ctx, core, finding.At(line.Position, finding.Finding{Severity: finding.Error, ID: "core-unloadable", Services: []string{service},
		Follows: "Without a resident verifier every login is denied.",
		Fix:     "Install a package that was built on this release or an older one."}))
}

// unloadable adds a finding if a module's file is there and cannot be loaded.
func (e *exam) unloadable(ctx context.Context, path string, f finding.Finding) {
	err := e.load(ctx, path)
	if errors.Is(err, target.ErrNotTold) {
		f := finding.NotLookedAt(finding.Note, "whether modules can be loaded", err.Error())
		f.Fix = "Log in once with a wrong code: it must be asked for, and refused."
		e.add(f)
		return
	}
	if err != nil {
		f.What = path + " cannot be loaded: " + strings.TrimPrefix(err.Error(), path+": ") + "."
		e.add(f)
	}
}

// enforcing is where the kernel says whether SELinux denies.
const enforcing = "/sys/fs/selinux/enforce"

// strange are types of files that daemons which log people in may not load as a
// library: what was made in a home or in /tmp and moved from there keeps its label.
var strange = []string{"user_home_t", "user_home_dir_t", "admin_home_t", "user_tmp_t", "tmp_t", "default_t", "unlabeled_t", "file_t"}

// label looks at what SELinux makes of a file of our module.
func (e *exam) label(service, file string) {
	text, err := target.Read(e.Machine.Root, enforcing)
	if err != nil {
		return // there is no SELinux
	}
	parts := strings.Split(e.Machine.Label(file), ":")
	for _, name := range strange {
		if len(parts) < 3 || parts[2] != name {
			continue
		}
		comes := "the line fails, and everybody is denied."
		if filepath.Base(file) == coreName {
			comes = "without a resident verifier every login is denied."
		}
		f := finding.Finding{Severity: finding.Error, ID: "module-label", Services: []string{service}, File: file,
			What:    "SELinux has the file as " + name + ", which is no library's type.",
			Follows: "sshd and others may not load it: " + comes,
			Fix:     "restorecon -v " + file}
		if slices.ContainsFunc([]string{"/home/", "/root/", "/tmp/", "/var/tmp/"}, func(dir string) bool { return strings.HasPrefix(file, dir) }) {
			f.Fix = "Install the module where libpam looks, and name it without a path."
		}
		if strings.TrimSpace(string(text)) != "1" {
			f.Severity, f.Follows = finding.Warning, "Once SELinux enforces, sshd and others may not load it: "+comes
		}
		e.add(f)
	}
}
