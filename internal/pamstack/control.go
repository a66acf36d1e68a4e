package pamstack

import "strings"

// Action is what is done about a return: a number of lines to jump over, or
// one of those below.
type Action int

// The actions of pam.conf(5) that are no jump.
const (
	IgnoreIt Action = 0
	OK       Action = -1
	Done     Action = -2
	Bad      Action = -3
	Die      Action = -4
	Reset    Action = -5
	unset    Action = -6
)

// maxJump is more lines than any stack has.
const maxJump = 1 << 20

var actionNames = []string{"ignore", "ok", "done", "bad", "die", "reset"}

// Actions are what is done, by return.
type Actions [32]Action

func (a *Actions) fill(action Action) {
	for i := range a {
		if a[i] == unset {
			a[i] = action
		}
	}
}

func noActions() (a Actions) {
	for i := range a {
		a[i] = unset
	}
	return a
}

// plain are the controls of one word.
var plain = map[string]struct{ success, ignore, other Action }{
	"required":   {OK, IgnoreIt, Bad},
	"requisite":  {OK, IgnoreIt, Die},
	"optional":   {OK, IgnoreIt, IgnoreIt},
	"sufficient": {Done, IgnoreIt, IgnoreIt},
}

// actionsOf reads a control. Nobody is told of a mistake in one but the log:
// libpam then takes everything for bad.
func actionsOf(control string) (actions Actions, good bool) {
	actions = noActions()
	if word, known := plain[strings.ToLower(control)]; known {
		actions[Success], actions[NewAuthtokReqd], actions[Ignore] = word.success, word.success, word.ignore
		actions.fill(word.other)
		return actions, true
	}
	good = actions.parse(control)
	if !good {
		actions = noActions()
	}
	actions.fill(Bad)
	return actions, good
}

const space = " \t\n\v\f\r"

// parse reads return=action pairs.
func (a *Actions) parse(text string) bool {
	for {
		text = strings.TrimLeft(text, space)
		if text == "" {
			return true
		}
		which, rest, found := prefixed(text, append(returns[:len(returns):len(returns)], "default"))
		rest = strings.TrimLeft(rest, space)
		if !found || !strings.HasPrefix(rest, "=") {
			return false
		}
		action, rest, good := readAction(strings.TrimLeft(rest[1:], space))
		if !good {
			return false
		}
		if which < len(returns) {
			a[which] = action
		} else {
			a.fill(action)
		}
		text = rest
	}
}

// prefixed finds the first of names that text begins with, as libpam does.
func prefixed(text string, names []string) (which int, rest string, found bool) {
	for i, name := range names {
		if rest, found := strings.CutPrefix(text, name); found {
			return i, rest, true
		}
	}
	return 0, text, false
}

func readAction(text string) (action Action, rest string, good bool) {
	if which, rest, found := prefixed(text, actionNames); found {
		return Action(-which), rest, true
	}
	for text != "" && text[0] >= '0' && text[0] <= '9' {
		action = min(action*10+Action(text[0]-'0'), maxJump)
		text = text[1:]
	}
	return action, text, action > 0
}

// Stops says whether the actions are those of required or requisite, which a control in
// brackets may write out.
func Stops(actions Actions) bool {
	for _, word := range []string{"required", "requisite"} {
		if plain, _ := actionsOf(word); actions == plain {
			return true
		}
	}
	return false
}
