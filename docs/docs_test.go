// Package docs_test holds the documents to what the programs understand.
package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/excuse"
	"github.com/otpgate/otpgate/internal/document"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/otpctl/command"
)

// documents are README.md and the pages beside this file, by their names.
func documents(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.md")
	if err != nil || len(names) < 5 {
		t.Fatalf("found only %q: %v", names, err)
	}
	texts := map[string]string{}
	for _, name := range append(names, "../README.md", "../SECURITY.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}

// blocks are all blocks of code, and what is left of each document.
func blocks(t *testing.T) (all []document.Block, prose map[string]string) {
	t.Helper()
	prose = map[string]string{}
	for name, text := range documents(t) {
		here, rest, err := document.Blocks(name, text)
		if err != nil {
			t.Error(err)
		}
		all, prose[name] = append(all, here...), rest
	}
	return all, prose
}

// check says what otpctl would make of a command line before it does anything.
// With whole the arguments have to be there too.
func check(line string, whole bool) error {
	words := strings.Fields(document.Uncommented(line))
	if end := slices.IndexFunc(words, func(w string) bool { return strings.ContainsRune("|&<>;", rune(w[0])) }); end >= 0 {
		words = words[:end]
	}
	root := command.Tree()
	root.InitDefaultHelpCmd()
	found, rest, err := root.Find(words[1:])
	if err != nil {
		return err
	}
	found.InitDefaultHelpFlag()
	if err := found.ParseFlags(rest); err != nil {
		return err
	}
	if help, err := found.Flags().GetBool("help"); err == nil && help || found.Name() == "help" {
		return helped(root, found.Flags().Args())
	}
	// Most commands that have others below do nothing themselves.
	if strings.HasSuffix(found.Use, "COMMAND") && (whole || found.Flags().NArg() > 0) {
		return fmt.Errorf("no command %q", found.Flags().Args())
	}
	if !whole {
		return nil
	}
	if err := found.ValidateArgs(found.Flags().Args()); err != nil {
		return err
	}
	if err := found.ValidateRequiredFlags(); err != nil {
		return err
	}
	return found.ValidateFlagGroups()
}

// helped checks the command that help is asked about.
func helped(root *cobra.Command, words []string) error {
	if len(words) == 0 || words[0] == "COMMAND" {
		return nil
	}
	_, rest, err := root.Find(words)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("no command %q", words)
	}
	return err
}

// otpctl takes every command line of the documents' blocks, and of its own
// examples. Those that stand in the text may lack arguments.
func TestCommandLines(t *testing.T) {
	all, prose := blocks(t)
	seen := 0
	try := func(place, line string, whole bool) {
		seen++
		if err := check(line, whole); err != nil {
			t.Errorf("%s: %s: %v", place, line, err)
		}
	}
	for _, b := range all {
		for _, c := range b.Commands() {
			if strings.HasPrefix(c.Line, "otpctl ") {
				try(b.Place, c.Line, true)
			}
		}
	}
	inline := regexp.MustCompile("`(otpctl [^`]+)`")
	for name, text := range prose {
		for _, found := range inline.FindAllStringSubmatch(text, -1) {
			try(name, strings.Join(strings.Fields(found[1]), " "), false)
		}
	}
	var examples func(c *cobra.Command)
	examples = func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "otpctl ") {
				try(c.CommandPath()+" --help", line, true)
			}
		}
		for _, below := range c.Commands() {
			examples(below)
		}
	}
	examples(command.Tree())
	if seen < 80 {
		t.Errorf("found only %d command lines", seen)
	}
}

// The check of TestCommandLines finds what is wrong.
func TestCheckFindsMistakes(t *testing.T) {
	for _, line := range []string{
		"otpctl enrol alice", "otpctl enroll", "otpctl enroll alice --replac", "otpctl session", "otpctl session expre alice",
		"otpctl unlock alice --group", "otpctl help enrol", "otpctl pam enable",
	} {
		if check(line, true) == nil {
			t.Errorf("%s: found nothing wrong", line)
		}
	}
	for _, line := range []string{"otpctl enroll --colour", "otpctl pam enabel", "otpctl sesion"} {
		if check(line, false) == nil {
			t.Errorf("%s: found nothing wrong, without its arguments", line)
		}
	}
}

// What the documents have make do is a target, and what they copy is there.
func TestTargetsAndFiles(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	all, prose := blocks(t)
	var targets [][]string
	for _, b := range all {
		for _, c := range b.Commands() {
			words := strings.Fields(c.Line)
			if len(words) > 1 && words[0] == "make" && words[1] != "-C" {
				targets = append(targets, []string{b.Place, words[1]})
			}
			for _, word := range words {
				if _, err := os.Stat("../" + word); strings.HasPrefix(word, "packaging/") && err != nil {
					t.Errorf("%s: %v", b.Place, err)
				}
			}
		}
	}
	inline := regexp.MustCompile("`make ([a-z]+)`")
	for name, text := range prose {
		for _, found := range inline.FindAllStringSubmatch(text, -1) {
			targets = append(targets, []string{name, found[1]})
		}
	}
	for _, target := range targets {
		if target[1] == "-C" {
			continue // another makefile than this one
		}
		if !strings.Contains(string(makefile), "\n"+target[1]+":") {
			t.Errorf("%s: no target %s", target[0], target[1])
		}
	}
	if len(targets) < 5 {
		t.Errorf("found only %q", targets)
	}
}

// Files in the documents are read as logins read them.
func TestFiles(t *testing.T) {
	all, _ := blocks(t)
	seen := 0
	for _, b := range all {
		if b.Language != "toml" {
			continue
		}
		seen++
		// Where an identifier is cut short it is its form that is checked.
		text := strings.ReplaceAll(strings.Join(b.Lines, "\n")+"\n", "…", strings.Repeat("0", 32))
		var err error
		switch {
		case strings.HasPrefix(text, "version = 1\nclient = \"web1\""):
			_, err = clients.Parse(b.Place, "web1", []byte(text))
		case strings.HasPrefix(text, "version = 1\nuser = \"root\""):
			_, err = breakglass.Parse(b.Place, "root", []byte(text))
		case strings.HasPrefix(text, "version = "):
			_, err = account.Parse(b.Place, "alice", []byte(text))
		case strings.HasPrefix(text, "[[excuse]]"):
			_, err = excuse.Parse(b.Place, []byte(text))
		default:
			_, err = config.Parse(b.Place, []byte(text))
		}
		if err != nil {
			t.Errorf("%v", err)
		}
	}
	if seen < 8 {
		t.Errorf("found only %d files", seen)
	}
}

// debian are the files that the stacks of the documents include.
var debian = map[string]string{
	"common-auth":    "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
	"common-account": "account required pam_unix.so\n",
	"common-session": "session required pam_unix.so\n",
}

var pamLine = regexp.MustCompile(`^(@include|auth|account|session|password)\s`)

// Stacks in the documents are what libpam understands, and no wrong code gets
// by, nor does a wrong password where a password is checked.
func TestStacks(t *testing.T) {
	all, _ := blocks(t)
	seen := 0
	for _, b := range all {
		if b.Language != "" || !slices.ContainsFunc(b.Lines, pamLine.MatchString) {
			continue
		}
		seen++
		dir := t.TempDir()
		if err := os.MkdirAll(dir+"/etc/pam.d", 0o755); err != nil {
			t.Fatal(err)
		}
		files := map[string]string{"sample": strings.Join(b.Lines, "\n") + "\n"}
		for name, text := range debian {
			files[name] = text
		}
		for name, text := range files {
			if err := os.WriteFile(dir+"/etc/pam.d/"+name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		stack, err := pamstack.Tree{Root: dir, Debian: true}.Load("sample")
		if err != nil {
			t.Errorf("%s: %v", b.Place, err)
			continue
		}
		lines := stack.Lines(pamstack.Auth)
		for _, line := range append(lines, stack.Lines(pamstack.Account)...) {
			if line.Kind == pamstack.Broken {
				t.Errorf("%s: %v: %s", b.Place, line.Position, line.Problem)
			}
		}
		walk := func(password, code pamstack.Return) pamstack.Return {
			return pamstack.Walk(lines, answers(lines, password, code)).Return
		}
		checksPassword := slices.ContainsFunc(lines, func(l pamstack.Line) bool { return l.Name() == "pam_unix.so" })
		if walk(pamstack.Success, pamstack.Success) != pamstack.Success {
			t.Errorf("%s: a right code is refused", b.Place)
		}
		if walk(pamstack.Success, pamstack.AuthErr) == pamstack.Success {
			t.Errorf("%s: a wrong code gets in", b.Place)
		}
		if checksPassword && walk(pamstack.AuthErr, pamstack.Success) == pamstack.Success {
			t.Errorf("%s: a wrong password gets in", b.Place)
		}
	}
	if seen < 8 {
		t.Errorf("found only %d stacks", seen)
	}
}

// answers are what the modules return.
func answers(lines []pamstack.Line, password, code pamstack.Return) func(i int) pamstack.Return {
	return func(i int) pamstack.Return {
		switch line := lines[i]; {
		case line.Name() == "pam_unix.so":
			return password
		case line.Name() == "pam_otpgate.so" && line.Has("split"):
			return pamstack.Ignore
		case line.Name() == "pam_otpgate.so":
			return code
		case line.Name() == "pam_deny.so":
			return pamstack.AuthErr
		}
		return pamstack.Success
	}
}
