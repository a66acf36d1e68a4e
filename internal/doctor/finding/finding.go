// Package finding is what an examination of a set-up says: what is wrong, where,
// what follows from it, and the fix.
package finding

import (
	"fmt"
	"strings"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// Severity says how bad a finding is. The zero value is the worst.
type Severity uint8

// The severities. An Error lets somebody in without a code or denies everybody;
// a Warning will, or does in a case that is not the usual one; a Note is true
// and may be wished.
const (
	Error Severity = iota
	Warning
	Note
)

func (s Severity) String() string { return [...]string{"error", "warning", "note"}[s] }

// MarshalText is for JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that is wrong.
type Finding struct {
	Severity Severity `json:"severity"`
	// ID names the kind of finding; it never changes.
	ID string `json:"id"`
	// Services are the PAM services that it is about, if it is.
	Services []string `json:"services,omitempty"`
	// File and Line are where, Line 0 for the whole file.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// What is wrong, what Follows, and the Fix: one sentence or two each.
	What    string `json:"what"`
	Follows string `json:"follows,omitempty"`
	Fix     string `json:"fix,omitempty"`
	// Excused is why an admin lives with it, "" if nobody said so. Then it counts
	// for nothing.
	Excused string `json:"excused,omitempty"`
}

// Where is the file and line, "" if the finding has none.
func (f Finding) Where() string {
	if f.File == "" || f.Line == 0 {
		return f.File
	}
	return fmt.Sprintf("%s:%d", f.File, f.Line)
}

// String is the finding as people read it, over several lines.
func (f Finding) String() string {
	head := f.Severity.String() + ": "
	if f.Excused != "" {
		head, f.Fix = "excused "+head, ""
	}
	if where := f.Where(); where != "" {
		head += where + ": "
	}
	text := head + f.What + "\n"
	for _, part := range [][2]string{{"services", strings.Join(f.Services, ", ")}, {"follows", f.Follows}, {"fix", f.Fix}, {"id", f.ID}, {"reason", f.Excused}} {
		if part[1] != "" {
			text += fmt.Sprintf("  %-9s %s\n", part[0]+":", part[1])
		}
	}
	return text
}

// At is the finding with its place.
func At(place pamstack.Position, f Finding) Finding {
	f.File, f.Line = place.File, place.Line
	return f
}

// Below takes the root of a tree that is no machine out of the texts.
func (f *Finding) Below(root string) {
	if root == "" {
		return
	}
	for _, text := range []*string{&f.File, &f.What, &f.Follows, &f.Fix} {
		*text = strings.ReplaceAll(*text, root, "")
	}
}

// Count is a number of things in words; several are called many, what with an s behind
// it if that is not given.
func Count(n int, what string, many ...string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %s", n, append(many, what+"s")[0])
}

// LineOf is the first line that sets a key.
func LineOf(data []byte, key string) int {
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		name, _, _ := strings.Cut(strings.TrimSpace(line), "=")
		name = strings.Trim(strings.TrimSpace(name), `[]"`)
		if name == key || strings.HasSuffix(name, "."+key) {
			return number
		}
	}
	return 0
}

// Some lists the first of many names.
func Some(names []string) string {
	const shown = 10
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
