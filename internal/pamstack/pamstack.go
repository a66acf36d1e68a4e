// Package pamstack reads pam.d as libpam does, and says what a stack makes of
// a login without running a module.
//
// The entry points are [Tree.Load], which finds a service's lines with every
// include followed, and [Walk], which runs through the lines of one type with
// results that the caller makes up for each module. Both promise to agree with
// Linux-PAM, see pam.conf(5); a test compares them with the machine's libpam
// over random stacks. What is read is never changed, and a file that is missing
// or cannot be understood shows as lines that fail, as it does in libpam.
package pamstack

import (
	"fmt"
	"path"
	"strings"
)

// Type is the first field of a line: what a line is for.
type Type uint8

// The types, and Any for lines of all of them.
const (
	Any Type = iota
	Auth
	Account
	Session
	Password
)

var typeNames = map[Type]string{Auth: "auth", Account: "account", Session: "session", Password: "password"}

func (t Type) String() string { return typeNames[t] }

// Kind says what becomes of a line when the stack is run.
type Kind uint8

// The kinds. The zero value fails.
const (
	Broken   Kind = iota // libpam cannot make sense of it, so it fails always
	Module               // calls a module
	Substack             // marks where a substack begins, and does nothing
)

// Position is a line in a file, counted from 1. File is as below the tree's root.
type Position struct {
	File string
	Line int
}

func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Line is one line of a stack, with what libpam takes from it.
type Line struct {
	Position
	Last    int // the last line in the file that belongs to it; Line unless it is continued
	Type    Type
	Kind    Kind
	Problem string // of a Broken line: why
	Silent  bool   // the type begins with "-"
	Level   int    // how many substacks it is within
	Via     []Position
	Control string // as written, without brackets
	Actions Actions
	Module  string // as written; of a Substack the file
	Args    []string
}

// Name is the module's file name.
func (l Line) Name() string { return path.Base(l.Module) }

// Has says whether the line has exactly this argument.
func (l Line) Has(argument string) bool {
	for _, a := range l.Args {
		if a == argument {
			return true
		}
	}
	return false
}

// Arg returns what follows name= in the arguments, "" if there is none.
func (l Line) Arg(name string) string {
	for _, a := range l.Args {
		if value, found := strings.CutPrefix(a, name+"="); found {
			return value
		}
	}
	return ""
}

// Stack is all that libpam has for a service.
type Stack struct {
	Service string
	// File is the service's own file, "" if there is none.
	File string
	// Files are all that were read for it, in order, each once.
	Files []string
	own   []Line
	other []Line
}

// Lines are those that libpam runs for t, in order: the service's own, or those
// of the service "other" if it has none of that type.
func (s Stack) Lines(t Type) []Line {
	if own := only(s.own, t); len(own) > 0 {
		return own
	}
	return only(s.other, t)
}

// Own are the service's own lines of all types.
func (s Stack) Own() []Line { return s.own }

func only(lines []Line, t Type) []Line {
	var found []Line
	for _, l := range lines {
		if l.Type == t {
			found = append(found, l)
		}
	}
	return found
}
