package packages_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/document"
)

// story is a document, or a part of one, whose command lines are run one after
// the other in a Debian where the package is installed.
type story struct {
	document string // below the source tree
	// from and to are the first block of it and the one behind its last, by
	// what its first command line begins with; "" for the ends of the document.
	from, to string
	begin    func(r *run)
	// lines are those that cannot be run as they are, or that need something.
	lines map[string]handling
}

// handling is what the test knows of a command line. Without any it is run as it
// is, and its exit status has to be 0.
type handling struct {
	before, after func(r *run)
	// instead is run in its place in the Debian, and outside on this machine, in
	// the source tree; ROOT is where the Debian is. why says why.
	instead, outside, why string
	fill                  func(r *run) (placeholder, value string)
	typed                 string // as soon as it runs
	code                  func(r *run) string
	background            string // it stays; this says when it is ready
	statuses              []int  // also good
	says                  string // a regular expression for its output
}

// Each command line of the documents does what the document says, one after
// the other, in a Debian where the package is installed. See the table in
// stories_test.go for those that need a systemd, a network or another
// distribution.
func TestDocuments(t *testing.T) {
	installed := copyDebian(t, bookworm, "22")
	installed.run(t, "dpkg", "-i", installed.bring(t, built(t, "deb")))
	installed.furnish(t)
	for _, s := range stories {
		t.Run(s.name(), func(t *testing.T) {
			r := &run{T: t, debian: installed.layer(t), dir: source}
			if s.begin != nil {
				s.begin(r)
			}
			for _, b := range s.blocks(t) {
				for _, c := range b.Commands() {
					r.line(b, c, s.lines[c.Line])
				}
			}
		})
	}
	t.Run("examples", func(t *testing.T) { examples(t, installed) })
}

// Each command line of the documents is in a story, and the table has no others.
func TestDocumentsAreInStories(t *testing.T) {
	told := map[string]int{}
	for _, s := range stories {
		lines := map[string]bool{}
		for _, b := range s.blocks(t) {
			for _, c := range b.Commands() {
				lines[c.Line] = true
				told[b.Place]++
			}
		}
		for line, h := range s.lines {
			if !lines[line] {
				t.Errorf("%s: the table has %q, which is not in the story", s.name(), line)
			}
			if h.instead+h.outside != "" && h.why == "" {
				t.Errorf("%s: the table does not say why %q is not run", s.name(), line)
			}
		}
	}
	for _, path := range documents(t) {
		for _, b := range blocksOf(t, path) {
			if n := len(b.Commands()); n != told[b.Place] {
				t.Errorf("%s: %d command lines, and %d of them are in a story", b.Place, n, told[b.Place])
			}
		}
	}
}

func (s story) name() string { return strings.TrimSpace(s.document + " " + s.from) }

// documents are all texts with command lines in them.
func documents(t *testing.T) []string {
	t.Helper()
	paths := []string{"README.md", "SECURITY.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "packaging/man/*.[1-9]"} {
		found, err := filepath.Glob("../../" + pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: found %q, %v", pattern, found, err)
		}
		for _, path := range found {
			paths = append(paths, strings.TrimPrefix(path, "../../"))
		}
	}
	return paths
}

func blocksOf(t *testing.T, path string) []document.Block {
	t.Helper()
	text, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(path, ".md") {
		return document.Displays(path, string(text))
	}
	all, _, err := document.Blocks(path, string(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// blocks are those of the story with command lines in them.
func (s story) blocks(t *testing.T) []document.Block {
	t.Helper()
	var all []document.Block
	within := s.from == ""
	for _, b := range blocksOf(t, s.document) {
		commands := b.Commands()
		if len(commands) == 0 {
			continue
		}
		within = within || s.from != "" && strings.HasPrefix(commands[0].Line, s.from)
		if s.to != "" && strings.HasPrefix(commands[0].Line, s.to) {
			break
		}
		if within {
			all = append(all, b)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s: no command lines from %q to %q", s.document, s.from, s.to)
	}
	return all
}

// line runs a command line and looks at what it says.
func (r *run) line(b document.Block, c document.Command, h handling) {
	r.Helper()
	if h.before != nil {
		h.before(r)
	}
	line := c.Line
	if h.fill != nil {
		placeholder, value := h.fill(r)
		if !strings.Contains(line, placeholder) {
			r.Fatalf("%s: %s: expected %q in it", b.Place, line, placeholder)
		}
		line = strings.ReplaceAll(line, placeholder, value)
	}
	if h.outside != "" {
		r.outside(h.outside)
	}
	if h.instead != "" {
		line = h.instead
	}
	if h.outside != "" && h.instead == "" {
		return
	}
	said, status := r.atTerminal(line, h)
	if status != 0 && !slices.Contains(h.statuses, status) {
		r.Fatalf("%s: %s: exit status %d\n%s", b.Place, line, status, said)
	}
	if !regexp.MustCompile(h.says).MatchString(said) {
		r.Errorf("%s: %s: expected %q, found\n%s", b.Place, line, h.says, said)
	}
	if h.after != nil {
		h.after(r)
	}
	for _, shown := range c.Shown {
		if shown = figures(shown); shown != "" && !strings.Contains(figures(said), shown) {
			r.Errorf("%s: %s: the document shows %q, found\n%s", b.Place, line, shown, said)
		}
	}
}

var (
	remark = regexp.MustCompile(`(^|\s{2,})\([^)]*\)$`)
	digits = regexp.MustCompile(`[0-9]`)
)

// figures is a text with every digit the same, and without a remark behind it
// that the document makes.
func figures(text string) string {
	return strings.TrimSpace(digits.ReplaceAllString(remark.ReplaceAllString(text, ""), "0"))
}

// reachesMail is of a unit that is to reach mail servers by the drop-in for that.
func reachesMail(unit string) handling {
	return handling{
		instead: "systemd-analyze verify --man=no " + unit + ".service && cat /etc/systemd/system/" + unit + ".service.d/send.conf",
		why:     noSystemd, says: `^#(?s).*IPAddressAllow=any`,
	}
}

var asksForLedger = handling{instead: "systemctl --root=/ enable otpgate-ledgerd.socket", why: noSystemd, says: "Created symlink"}
