// Package rollout puts the module's line into a service of pam.d, and takes it
// out again, without locking anybody out.
//
// The entry points are [Plan] and [Remove], which say what a file would become,
// [DryLogin], which has the real libpam run it before it counts, and [Changer],
// which puts it in place and back again. The package promises that a file is
// replaced whole or not at all, that what it was is kept beside, that a change
// which nobody confirms is undone, and that Remove takes out exactly the lines
// that call the module, and puts back an include that Plan has written out.
package rollout

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Edit is a change of one file.
type Edit struct {
	Service, Path string
	Before, After string
	// From is the distribution's file, whose text is Before, if the admin has
	// none: one is made, which counts instead of it.
	From string
	// Vendor is the distribution's file, if After is what that says: then it
	// counts again, and the admin's own file goes.
	Vendor string
	// Findings are what the doctor says of the stack as it would be.
	Findings []finding.Finding
}

// Line says how the line is written.
type Line struct {
	Module    string // as in pam.d
	Arguments []string
	// Split asks for the two lines of a server of one field, also where the
	// service is not known for one.
	Split bool
}

func (l Line) text(extra ...string) string {
	return strings.Join(append(append([]string{"auth required", l.Module}, extra...), l.Arguments...), " ")
}

// ErrAlready is wrapped by Plan's error if the stack has a line of ours.
var ErrAlready = errors.New("this line calls the module already")

// Plan finds where the line belongs: the first place in the service's own file
// at which the doctor has nothing to say of the stack, or as little as can be.
func Plan(tree pamstack.Tree, settings config.Config, service string, line Line) (Edit, error) {
	stack, err := authstack.Load(tree, service, settings)
	if missing := authstack.Missing(tree, stack.Stack); missing != nil {
		return Edit{}, missing
	}
	switch {
	case err != nil:
		return Edit{}, err
	case len(stack.Checks)+len(stack.Splits) > 0:
		own := append(slices.Clone(stack.Checks), stack.Splits...)
		return Edit{}, fmt.Errorf("%s: %w", stack.Lines[own[0]].Position, ErrAlready)
	}
	if err := belongs(tree, settings, service); err != nil {
		return Edit{}, err
	}
	before, err := tree.Read(stack.File)
	if err != nil {
		return Edit{}, err
	}
	edit := Edit{Service: service, Path: stack.File, Before: before}
	if path.Dir(stack.File) != pamstack.AdminDir {
		edit.Path, edit.From = pamstack.AdminDir+"/"+service, stack.File
	}
	protocol := stack.Protocol
	for _, argument := range line.Arguments {
		if name, found := strings.CutPrefix(argument, "protocol="); found {
			protocol = config.Protocol(name)
		}
	}
	line.Split = line.Split || authstack.OneField(service, protocol)
	best := -1
	for _, after := range candidates(before, line) {
		found := examined(tree, settings, edit, after)
		if cost := cost(found); best < 0 || cost < best {
			best, edit.After, edit.Findings = cost, after, found
		}
	}
	best = edit.writeOut(tree, settings, stack, line, best)
	if best < 0 {
		return edit, fmt.Errorf("%s has no line of the type auth that it could follow", edit.Path)
	}
	return edit, edit.refused()
}

// writeOut takes the included password stage into the file where that alone keeps
// the doctor from a warning. It returns the cost of what is best then.
func (e *Edit) writeOut(tree pamstack.Tree, settings config.Config, stack authstack.Stack, line Line, best int) int {
	if line.Split || best < costs[finding.Warning] {
		return best
	}
	for _, after := range writtenOut(e.Before, stack, line) {
		found := examined(tree, settings, *e, after)
		if cost := cost(found); cost < best {
			best, e.After, e.Findings = cost, after, found
		}
	}
	return best
}

// belongs refuses a file in which the line would ask elsewhere than meant, or
// beside a server that asks by itself.
func belongs(tree pamstack.Tree, settings config.Config, service string) error {
	if service == settings.SFTP.PAMService {
		return fmt.Errorf("%s: otpgate-sftpd asks for the code itself, so no line belongs here", service)
	}
	included, err := authstack.Includers(tree, service)
	if err != nil {
		return err
	}
	if _, known := settings.Services[service]; known || len(included) == 0 {
		return nil
	}
	return fmt.Errorf("%s/%s is included by %s, which would all ask: enable the services that people log in by, or all at once with pam-auth-update --enable otpgate or a profile of authselect",
		pamstack.AdminDir, service, strings.Join(included, ", "))
}

// examined is what the doctor says of the service with that file.
func examined(tree pamstack.Tree, settings config.Config, edit Edit, text string) []finding.Finding {
	tree.Edited = map[string]string{edit.Path: text}
	stack, err := authstack.Load(tree, edit.Service, settings)
	if err != nil {
		return []finding.Finding{{ID: "service-unreadable", What: err.Error()}}
	}
	return stack.Problems()
}

var costs = map[finding.Severity]int{finding.Error: 10000, finding.Warning: 100, finding.Note: 1}

// cost weighs findings: one error is worse than any number of what is less.
func cost(findings []finding.Finding) (cost int) {
	for _, f := range findings {
		cost += costs[f.Severity]
	}
	return cost
}

func (e Edit) refused() error {
	var texts []string
	for _, f := range e.Findings {
		if f.Severity == finding.Error {
			texts = append(texts, f.What+" "+f.Fix)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return fmt.Errorf("%s: no place in it is right for the line. At the best one: %s", e.Path, strings.Join(texts, " "))
}

// candidates are the file with the line at every place where it could stand.
// For a server of one field the line with split stands before it.
func candidates(text string, line Line) []string {
	var all []string
	statements := only(pamstack.Statements(text), isAuth)
	for n, s := range statements {
		if !line.Split {
			all = append(all, insert(text, s.Last, line.text()))
			continue
		}
		for _, first := range statements[:n+1] {
			all = append(all, insert(insert(text, s.Last, line.text()), first.First-1, line.text("split")))
		}
	}
	return all
}

func only(all []pamstack.Statement, test func(pamstack.Statement) bool) []pamstack.Statement {
	return slices.DeleteFunc(all, func(s pamstack.Statement) bool { return !test(s) })
}

func isAuth(s pamstack.Statement) bool {
	word := strings.ToLower(strings.TrimPrefix(s.Fields[0], "-"))
	return word == "auth" || word == "@include"
}

// insert puts line behind so many lines of text. A last line without an end
// stays without one.
func insert(text string, behind int, line string) string {
	lines := slices.Collect(strings.Lines(text))
	if behind == len(lines) && behind > 0 && !strings.HasSuffix(lines[behind-1], "\n") {
		return text + "\n" + line
	}
	return strings.Join(slices.Insert(lines, behind, line+"\n"), "")
}

// Remove takes the lines that call the module out of a service's own file. Where
// the stack needs a line in its place, to be jumped over or to say yes, one of
// pam_permit stays.
func Remove(tree pamstack.Tree, settings config.Config, service string) (Edit, error) {
	stack, err := tree.Load(service)
	if missing := authstack.Missing(tree, stack); missing != nil {
		return Edit{}, missing
	}
	edit := Edit{Service: service, Path: stack.File}
	if edit.Before, err = tree.Read(stack.File); err != nil {
		return edit, err
	}
	back := edit.takenBack(tree, settings)
	if back != edit.Before {
		tree.Edited = map[string]string{edit.Path: back}
		if stack, err = tree.Load(service); err != nil {
			return edit, err
		}
	}
	edit.After = instead(back, counted(stack))
	if edit.After == edit.Before {
		return edit, notThere(stack)
	}
	// Jumps may have led to the line, or it may have been the only yes.
	if all := instead(back, every(back)); !edit.letsIn(tree, settings, edit.After) && edit.letsIn(tree, settings, all) {
		edit.After = all
	}
	if vendor, found := tree.Vendor(service); found && path.Dir(edit.Path) == pamstack.AdminDir {
		if text, err := tree.Read(vendor); err == nil && text == edit.After {
			edit.Vendor = vendor
		}
	}
	return edit, edit.opens(tree, settings)
}

// takenBack is the text with the include that was written out, unless nobody would
// get in by that any more.
func (e Edit) takenBack(tree pamstack.Tree, settings config.Config) string {
	back := authstack.TakenBack(e.Before)
	if back != e.Before && !e.letsIn(tree, settings, back) {
		return e.Before
	}
	return back
}

// undone is a file as it was before the line was added.
func undone(text string) string { return without(authstack.TakenBack(text)) }

// without leaves out the lines that call the module, and the end of the line
// before if the last one had none.
func without(text string) string {
	lines := slices.Collect(strings.Lines(text))
	for _, s := range slices.Backward(pamstack.Statements(text)) {
		if !callsUs(s) {
			continue
		}
		unended := s.Last == len(lines) && !strings.HasSuffix(lines[s.Last-1], "\n")
		lines = slices.Delete(lines, s.First-1, s.Last)
		if unended && len(lines) > 0 {
			lines[len(lines)-1] = strings.TrimSuffix(lines[len(lines)-1], "\n")
		}
	}
	return strings.Join(lines, "")
}

func callsUs(s pamstack.Statement) bool {
	return len(s.Fields) > 2 && path.Base(s.Fields[2]) == authstack.ModuleName
}

func notThere(stack pamstack.Stack) error {
	for _, line := range stack.Own() {
		if authstack.Ours(line) {
			return fmt.Errorf("%s has no line that calls %s; %s has, which other services include too: take it out there by hand, or with pam-auth-update or authselect", stack.File, authstack.ModuleName, line.Position)
		}
	}
	return fmt.Errorf("%s has no line that calls %s", stack.File, authstack.ModuleName)
}

// opens refuses to take the code out of a stack that asks for nothing else.
func (e Edit) opens(tree pamstack.Tree, settings config.Config) error {
	tree.Edited = map[string]string{e.Path: e.After}
	stack, err := authstack.Load(tree, e.Service, settings)
	if err == nil && stack.Open() {
		return fmt.Errorf("%s asks for nothing but the code: without it everybody would get in with nothing at all. Put the password modules back first", e.Path)
	}
	return nil
}
