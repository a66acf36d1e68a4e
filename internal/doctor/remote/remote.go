// Package remote examines both ends of logins that a server decides: a client's key,
// its servers and the way to them; a server's gateway, and what its clients' files say.
//
// The entry point is [Exam.Examine]. It promises to begin no login, to wait for no
// server longer than [Step] for each step, and to say what it could not ask.
package remote

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/remotelogin"
)

// Step is how long each step of asking a server may take: to find and reach it, to shake
// hands, to have its answer. All servers are asked at once.
const Step = 2 * time.Second

// Ask asks the servers of a client whether they take logins.
type Ask func(ctx context.Context, settings config.Remote) []remotelogin.Look

// Servers asks the servers themselves.
func Servers(ctx context.Context, settings config.Remote) []remotelogin.Look {
	return remotelogin.LookAtAll(ctx, settings, Step)
}

// Exam is what is looked at.
type Exam struct {
	Machine *target.Machine
	// Settings have the paths as they are reached from here, and Path is their file.
	Settings config.Config
	Path     string
	// Ask asks a client's servers; without it that is not looked at.
	Ask Ask
}

// exam is one run.
type exam struct {
	Exam
	text     []byte // of the configuration
	findings []finding.Finding
}

func (e *exam) add(f finding.Finding) { e.findings = append(e.findings, f) }

// setting is the finding at the first line of the configuration that sets a key.
func (e *exam) setting(key string, f finding.Finding) finding.Finding {
	f.File, f.Line = e.Path, finding.LineOf(e.text, key)
	return f
}

// Examine returns what it finds: nothing on a machine that is neither client nor
// server, and has its ledger in files.
func (e Exam) Examine(ctx context.Context) []finding.Finding {
	x := &exam{Exam: e}
	x.text, _ = target.Read("", e.Path)
	if x.Settings.Remote != nil {
		x.client(ctx)
	}
	if x.Settings.Gateway != nil {
		x.server()
	}
	if x.Settings.Ledger != nil {
		x.breakGlass(ctx)
	}
	return x.findings
}

// entries are the names in a directory, none if there is no such directory.
func entries(dir string) (names []string) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, entry := range found {
		names = append(names, entry.Name())
	}
	return names
}

// existing are those of some files that are there.
func existing(paths ...string) (there []string) {
	for _, path := range paths {
		if found, err := filepath.Glob(path); err == nil {
			there = append(there, found...)
		}
	}
	return there
}
