// Package excuse reads which findings of the doctor an admin lives with, and why:
// /etc/otpgate/doctor.toml, which the next admin can read.
//
// The entry points are [Load] and [Apply]. They promise that nothing is excused but
// what the file names, each service by its own name and with a reason, and that a
// file with any mistake excuses nothing.
package excuse

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/spelling"
	"github.com/otpgate/otpgate/internal/tomlfile"
)

// Path is the file.
const Path = "/etc/otpgate/doctor.toml"

// maxSize is far above any such file.
const maxSize = 64 << 10

// File is all of it.
type File struct {
	Excuse []Excuse `toml:"excuse"`
}

// Excuse is a finding that is meant to be so. There may be any number.
type Excuse struct {
	// ID is the finding's, as the doctor shows it.
	ID string `toml:"id"`
	// Service is the PAM service that the finding is about. Of a finding about several
	// each is excused by itself. It is left out where a finding is about none.
	Service string `toml:"service"`
	// Reason is what the next admin reads. It is never left out.
	Reason string `toml:"reason"`
	// line is where it begins, 0 if that is not known.
	line int
}

// Load reads the file. One that is not there has no excuses.
func Load(path string) ([]Excuse, error) {
	data, err := safefile.Read(path, safefile.Rules{Forbidden: 0o022, MaxSize: maxSize})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	excuses, err := Parse(path, data)
	for i, line := range begins(string(data)) {
		if i < len(excuses) {
			excuses[i].line = line
		}
	}
	return excuses, err
}

// Parse reads data, the contents of the file at path.
func Parse(path string, data []byte) ([]Excuse, error) {
	var file File
	if err := tomlfile.Decode(path, data, &file); err != nil {
		return nil, err
	}
	for i, e := range file.Excuse {
		if key, problem := e.check(file.Excuse[:i]); problem != "" {
			return nil, tomlfile.At(path, data, problem, "excuse", strconv.Itoa(i), key)
		}
	}
	return file.Excuse, nil
}

// check says what is wrong with an excuse that stands behind those before.
func (e Excuse) check(before []Excuse) (key, problem string) {
	near, found := spelling.Near(e.ID, finding.IDs)
	switch {
	case e.ID == "":
		return "id", "expected the id of a finding, such as " + finding.IDs[0]
	case !slices.Contains(finding.IDs, e.ID) && found:
		return "id", fmt.Sprintf("no finding has the id %q; did you mean %q?", e.ID, near)
	case !slices.Contains(finding.IDs, e.ID):
		return "id", fmt.Sprintf("no finding has the id %q; expected one that otpctl doctor shows", e.ID)
	case strings.TrimSpace(e.Reason) == "":
		return "reason", "expected why this is meant to be so, for the next admin"
	case slices.ContainsFunc(before, func(b Excuse) bool { return b.ID == e.ID && b.Service == e.Service }):
		return "id", "this finding is excused before already"
	}
	return "", ""
}

// begins are the lines of the tables.
func begins(text string) (lines []int) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		if bare := strings.ReplaceAll(line, " ", ""); strings.HasPrefix(bare, "[[excuse]]") || strings.HasPrefix(bare, "[excuse]") {
			lines = append(lines, number)
		}
	}
	return lines
}

// Apply marks the findings that are excused. Where one is about several services
// it is divided. With all, every finding of the machine is there, and an excuse
// that none needs is said so.
func Apply(findings []finding.Finding, excuses []Excuse, path string, all bool) []finding.Finding {
	needed := make([]bool, len(excuses))
	var left, excused []finding.Finding
	for _, f := range findings {
		for i, e := range excuses {
			if e.ID != f.ID || f.Excused != "" {
				continue
			}
			switch at := slices.Index(f.Services, e.Service); {
			case at >= 0:
				needed[i] = true
				part := f
				part.Services, part.Excused = []string{e.Service}, e.Reason
				f.Services = slices.Delete(slices.Clone(f.Services), at, at+1)
				excused = append(excused, part)
				if len(f.Services) == 0 {
					f.ID = "" // nothing is left of it
				}
			case e.Service == "" && len(f.Services) == 0:
				needed[i], f.Excused = true, e.Reason
			}
		}
		if f.ID != "" {
			left = append(left, f)
		}
	}
	for i, e := range excuses {
		if all && !needed[i] {
			left = append(left, e.unneeded(findings, path))
		}
	}
	left = append(left, excused...)
	finding.Sort(left)
	return left
}

// unneeded is about an excuse that excuses nothing.
func (e Excuse) unneeded(findings []finding.Finding, path string) finding.Finding {
	f := finding.Finding{Severity: finding.Note, ID: "excuse-unneeded", File: path, Line: e.line,
		What: "There is no finding " + e.ID + ", so this excuse is no longer needed.", Fix: "Take it out."}
	if e.Service != "" {
		f.What = "There is no finding " + e.ID + " of the service " + e.Service + ", so this excuse is no longer needed."
	}
	for _, other := range findings {
		if other.ID == e.ID && e.Service == "" {
			f.What = "The finding " + e.ID + " is about services, and this excuse names none."
			f.Fix = fmt.Sprintf("Write one for each service that is meant: service = %q", other.Services[0])
		}
	}
	return f
}
