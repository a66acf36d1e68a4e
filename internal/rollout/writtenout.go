package rollout

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// writtenOut are the file with one include of a password stage replaced by the
// lines of that, and ours behind them. What ends a substack does not end the stack
// around it, so only the service's own lines can keep strangers from the prompt.
func writtenOut(text string, stack authstack.Stack, line Line) []string {
	var all []string
	lines := slices.Collect(strings.Lines(text))
	for _, s := range only(pamstack.Statements(text), isAuth) {
		if len(s.Fields) < 3 || s.First != s.Last || !strings.HasSuffix(lines[s.First-1], "\n") {
			continue
		}
		written, good := stage(included(stack, s))
		if !good {
			continue
		}
		block := slices.Concat([]string{authstack.WrittenFrom, authstack.WrittenFor + strings.TrimSuffix(lines[s.First-1], "\n")},
			written, []string{line.text(), authstack.WrittenTo, ""})
		all = append(all, strings.Join(slices.Concat(lines[:s.First-1], []string{strings.Join(block, "\n")}, lines[s.First:]), ""))
	}
	return all
}

// included are the lines that a statement of the service's own file includes, none
// if they would mean something else in its place.
func included(stack authstack.Stack, s pamstack.Statement) []pamstack.Line {
	place := pamstack.Position{File: stack.File, Line: s.First}
	var found []pamstack.Line
	for _, line := range stack.Lines {
		_, jumps := reach(line)
		switch {
		case len(line.Via) > 0 && line.Via[0] == place:
			found = append(found, line)
		case line.Kind == pamstack.Substack && line.Position == place:
		case line.Line < s.First && jumps:
			return nil // it counts the lines that become more
		case line.Line > s.First && line.File == stack.File && strings.EqualFold(s.Fields[1], "include"):
			return nil // what an include ends is not reached there now
		}
	}
	return found
}

// reach is the longest jump of a line.
func reach(line pamstack.Line) (longest int, jumps bool) {
	if line.Kind != pamstack.Module {
		return 0, false
	}
	longest = int(slices.Max(line.Actions[:]))
	return longest, longest > 0
}

// stage are the lines of a password stage so that whatever fails in it ends the
// stack, and what ended it with a right password jumps behind it. It is good only
// if it has no lines that mean something else there.
func stage(lines []pamstack.Line) (written []string, good bool) {
	last, done := len(lines)-1, false
	for i, line := range lines {
		longest, _ := reach(line)
		if line.Kind != pamstack.Module || line.Problem != "" || authstack.Ours(line) || longest > 0 && i+longest >= last {
			return nil, false
		}
		control, known := instage(line.Control, last-i)
		text, plain := rest(line)
		if !known || !plain {
			return nil, false
		}
		ends := line.Actions[pamstack.Success] == pamstack.Done
		if ends && i == last {
			return nil, false
		}
		done = done || ends
		word := "auth"
		if line.Silent {
			word = "-auth"
		}
		written = append(written, fmt.Sprintf("%s %s %s", word, control, text))
	}
	if done {
		written = append(written, "auth required pam_permit.so") // where they jump to
	}
	return written, len(lines) > 0
}

// rest is the module and its arguments. One with a backslash might go on with the
// next line, so it is not plain.
func rest(line pamstack.Line) (text string, plain bool) {
	fields := append([]string{line.Module}, line.Args...)
	for i, field := range fields {
		if strings.Contains(field, `\`) {
			return "", false
		}
		if strings.ContainsAny(field, " \t[]") {
			fields[i] = "[" + strings.ReplaceAll(field, "]", `\]`) + "]"
		}
	}
	return strings.Join(fields, " "), true
}

var (
	donePair = regexp.MustCompile(`\b(success|new_authtok_reqd)\s*=\s*done\b`)
	badPair  = regexp.MustCompile(`=\s*bad\b`)
)

// instage is a control where the stage is the service's own. What ended it with a
// right password jumps behind it, and what was remembered as a failure, to be told
// at the end, is told at once: else the code would be asked in between.
func instage(control string, behind int) (text string, known bool) {
	switch word := strings.ToLower(control); word {
	case "required", "requisite":
		return "requisite", true
	case "optional":
		return word, true
	case "sufficient":
		return fmt.Sprintf("[success=%d new_authtok_reqd=%d default=ignore]", behind, behind), true
	}
	text = donePair.ReplaceAllString(control, fmt.Sprintf("${1}=%d", behind))
	text = badPair.ReplaceAllString(text, "=die")
	if !strings.Contains(text, "default") {
		text += " default=die"
	}
	return "[" + text + "]", !strings.Contains(text, "done") && !strings.Contains(text, "reset")
}
