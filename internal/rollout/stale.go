package rollout

import (
	"maps"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Stale says whether a password stage that Plan has written out into a service's file
// is no longer what the file has that it was made from: authselect or an update has
// changed that since. The change is the first line that the two differ by.
func Stale(tree pamstack.Tree, settings config.Config, s authstack.Stack) (change string, stale bool) {
	text, err := tree.Read(s.File)
	if err != nil || len(s.Checks) == 0 || !strings.Contains(text, authstack.WrittenFrom) {
		return "", false
	}
	before := authstack.TakenBack(text)
	if before == text {
		return "", false // somebody has made it a stage of their own
	}
	tree.Edited = maps.Clone(tree.Edited)
	if tree.Edited == nil {
		tree.Edited = map[string]string{}
	}
	tree.Edited[s.File] = before
	source, err := authstack.Load(tree, s.Service, settings)
	if err != nil {
		return "", false // which is a finding of its own
	}
	ours := s.Lines[s.Checks[0]]
	now := stageIn(text)
	if len(now) == 0 {
		return "", false
	}
	var made []string
	for _, candidate := range writtenOut(before, source, Line{Module: ours.Module, Arguments: ours.Args}) {
		stage := stageIn(candidate)
		if slices.Equal(stage, now) {
			return "", false
		}
		if len(stage) > 0 && stage[0] == now[0] { // the same line is written out
			made = stage
		}
	}
	if made == nil {
		return "what is there now cannot be written out", true
	}
	return difference(now, made), true
}

// stageIn are the line that was there before and the lines written out in a file, but
// for ours, by their words.
func stageIn(text string) (stage []string) {
	within := false
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		switch {
		case line == authstack.WrittenFrom:
			within = true
		case line == authstack.WrittenTo:
			return stage
		case within && strings.HasPrefix(line, "#") && !strings.HasPrefix(line, authstack.WrittenFor):
		case within && !strings.Contains(line, authstack.ModuleName):
			stage = append(stage, line)
		}
	}
	return stage
}

// difference is the first line that only one of the two has.
func difference(now, made []string) string {
	for _, line := range made {
		if !slices.Contains(now, line) {
			return "it has not: " + line
		}
	}
	for _, line := range now {
		if !slices.Contains(made, line) {
			return "it still has: " + line
		}
	}
	return "the order of its lines is another"
}
