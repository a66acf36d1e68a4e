package rollout

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// counted are the statements of the service's own file that call the module and
// that jumps from above go over or lead to, by their first lines. Without a line
// in its place such a jump would end one line further: where another says yes
// anyway if that is pam_permit, else where perhaps none does.
func counted(stack pamstack.Stack) map[int]bool {
	found := map[int]bool{}
	for _, t := range []pamstack.Type{pamstack.Auth, pamstack.Account, pamstack.Session, pamstack.Password} {
		lines := stack.Lines(t)
		for i, line := range lines {
			if line.File != stack.File || line.Name() != authstack.ModuleName {
				continue
			}
			yes := i+1 < len(lines) && lines[i+1].Name() == "pam_permit.so"
			for from := range lines[:i] {
				end := jumpEnd(lines, from)
				found[line.Line] = found[line.Line] || end >= i || end == i-1 && end > from && !yes
			}
		}
	}
	return found
}

// jumpEnd is the last line that the longest jump of a line goes over: so many of
// its own stack, and a substack counts as one.
func jumpEnd(lines []pamstack.Line, from int) int {
	level, end := lines[from].Level, from
	for count := int(slices.Max(lines[from].Actions[:])); count > 0; count-- {
		for end++; end+1 < len(lines) && lines[end+1].Level > level; end++ {
		}
	}
	return end
}

// every statement that calls the module.
func every(text string) map[int]bool {
	found := map[int]bool{}
	for _, s := range pamstack.Statements(text) {
		found[s.First] = callsUs(s)
	}
	return found
}

// instead leaves out the statements that call the module as without does, but
// for some, in whose place stays a line that ends as the right code did. What
// had the password from a line with split asks for it itself.
func instead(text string, keep map[int]bool) string {
	lines := slices.Collect(strings.Lines(text))
	split := false
	for _, s := range pamstack.Statements(text) {
		if !callsUs(s) {
			split = split && !askItself(lines[s.First-1:s.Last], s)
			continue
		}
		split = split || slices.Contains(s.Fields[3:], "split")
		if !keep[s.First] {
			continue
		}
		control := s.Fields[1]
		switch {
		case slices.Contains(s.Fields[3:], "split"):
			control = "[default=ignore]"
		case strings.ContainsAny(control, "= "):
			control = "[" + control + "]"
		}
		lines[s.First-1] = s.Fields[0] + " " + control + " pam_permit.so # instead of otpgate: lines above count this one\n"
		for i := s.First; i < s.Last; i++ {
			lines[i] = ""
		}
	}
	return without(strings.Join(lines, ""))
}

// askItself has the password module behind a line with split, which has the
// password from there, ask for it. done is whether that was one.
func askItself(lines []string, s pamstack.Statement) (done bool) {
	if !isAuth(s) || !slices.Contains(s.Fields, useFirstPass) {
		return false
	}
	for i, line := range lines {
		before, behind, found := strings.Cut(line, useFirstPass)
		if found {
			lines[i] = strings.TrimRight(before, " \t") + behind
			return true
		}
	}
	return false
}

const useFirstPass = "use_first_pass"

// letsIn says whether the right password gets in with that text.
func (e Edit) letsIn(tree pamstack.Tree, settings config.Config, text string) bool {
	tree.Edited = map[string]string{e.Path: text}
	stack, err := authstack.Load(tree, e.Service, settings)
	return err == nil && stack.LetsIn(authstack.Outcome{Password: true})
}
