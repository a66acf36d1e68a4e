package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
				e.add(finding.At(line.Place, finding.Finding{Severity: finding.Error, ID: "module-missing", Services: []string{s.Service},
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
	e.unloadable(ctx, path, finding.At(line.Place, finding.Finding{Severity: finding.Error, ID: "module-unloadable", Services: []string{service},
		Follows: e.fails(s, line),
		Fix:     "Install a package that was built on this release or an older one, or take the line out: otpctl pam disable " + service}))
	if _, err := os.Stat(e.Machine.Root + core); err != nil && line.Arg("verifier") != "" && line.Arg("verifier") != "off" {
		return // that line has a verifier of its own, see there
	}
	if _, err := os.Stat(e.Machine.Root + core); err != nil {
		e.add(finding.At(line.Place, finding.Finding{Severity: finding.Error, ID: "core-missing", Services: []string{service},
			What:    core + " is not there: " + err.Error() + ".",
			Follows: "Without a resident verifier every login is denied.",
			Fix:     "Install the package again: both files belong into one directory."}))
		return
	}
	e.unloadable(ctx, core, finding.At(line.Place, finding.Finding{Severity: finding.Error, ID: "core-unloadable", Services: []string{service},
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
