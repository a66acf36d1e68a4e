package pamstack

// Step is a line that a walk reached.
type Step struct {
	// Line is its index in the lines.
	Line int
	// Return is what the module returned, and Action what was done about it.
	Return Return
	Action Action
}

// Result is what became of a walk.
type Result struct {
	// Return is the stack's.
	Return Return
	// Steps are the lines that were reached, in order.
	Steps []Step
	// BadJump is the index of a line that jumped over the end, or -1.
	BadJump int
}

// impression is what libpam thinks of a stack so far.
type impression int8

const (
	undecided impression = iota
	positive
	negative
)

// state is what a substack goes back to.
type state struct {
	impression impression
	status     Return
}

func (s *state) good(r Return) {
	if s.impression == undecided || s.impression == positive && s.status == Success {
		*s = state{positive, r}
	}
}

func (s *state) bad(r Return) {
	if s.impression == negative {
		return
	}
	if r == Ignore {
		r = PermDenied
	}
	*s = state{negative, r}
}

// Walk runs through lines, which are all of one type, as pam_authenticate(3)
// does. ask says what the module of lines[i] returns.
func Walk(lines []Line, ask func(i int) Return) Result {
	if len(lines) == 0 {
		return Result{Return: PermDenied, BadJump: -1}
	}
	w := walk{lines: lines, now: state{undecided, PermDenied}, result: Result{BadJump: -1}}
	w.entered[0] = w.now
	before := 0
	for w.at = 0; w.at < len(lines); w.at++ {
		level := lines[w.at].Level
		if before < level {
			w.entered[level] = w.now
		}
		if lines[w.at].Kind != Substack {
			w.step(ask)
		}
		before = level // of the line itself, wherever it jumped to
	}
	w.result.Return = w.now.status
	if w.now.status == Success && w.now.impression != positive {
		w.result.Return = PermDenied
	}
	return w.result
}

type walk struct {
	lines   []Line
	at      int
	now     state
	entered [maxDepth + 1]state
	result  Result
}

func (w *walk) step(ask func(i int) Return) {
	line := w.lines[w.at]
	got := PermDenied
	if line.Kind == Module {
		got = ask(w.at)
	}
	action := Bad
	if got >= 0 && int(got) < len(line.Actions) {
		action = line.Actions[got]
	} else {
		got = PermDenied
	}
	w.result.Steps = append(w.result.Steps, Step{w.at, got, action})
	switch action {
	case IgnoreIt:
	case Reset:
		w.now = w.entered[line.Level]
	case OK, Done:
		w.now.good(got)
		if action == Done && w.now.impression == positive {
			w.leave(line.Level)
		}
	case Bad, Die:
		w.now.bad(got)
		if action == Die {
			w.leave(line.Level)
		}
	default:
		w.jump(int(action), line.Level)
	}
}

// leave goes to the last line of this stack.
func (w *walk) leave(level int) {
	for w.at+1 < len(w.lines) && w.lines[w.at+1].Level >= level {
		w.at++
	}
}

// jump goes over so many lines of this stack; a substack counts as one.
func (w *walk) jump(count, level int) {
	from := w.at
	for ; count > 0 && w.at+1 < len(w.lines) && w.lines[w.at+1].Level >= level; count-- {
		w.at++
		for w.at+1 < len(w.lines) && w.lines[w.at+1].Level > level {
			w.at++
		}
	}
	if count > 0 {
		w.result.BadJump = from
		w.now = state{negative, PermDenied}
	}
}
