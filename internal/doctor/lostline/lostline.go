// Package lostline finds the text of our line where libpam reads no line of it:
// in a file that it never opens, or in one that it does as a part of something
// else.
package lostline

import (
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Text is the text of a line that is none to libpam.
type Text struct {
	pamstack.Position
	// File is that of the service, or of what services include, that the line was
	// to be in, by its name in pam.d.
	Name string
	// What says why it is none. Fix is what to do about it, "" if otpctl pam
	// enable does all that is needed.
	What, Fix string
	// Meant says that somebody seems to have wished it so.
	Meant bool
}

// search is one run.
type search struct {
	tree     pamstack.Tree
	settings config.Config
	// included are the names of files that others include.
	included map[string]bool
	found    []Text
}

// Find looks through all files. What it finds may be in force elsewhere too:
// whether the service asks for a code is not looked at.
func Find(tree pamstack.Tree, settings config.Config) []Text {
	s := search{tree: tree, settings: settings, included: map[string]bool{}}
	services, _ := tree.Services()
	for _, service := range services {
		stack, err := tree.Load(service)
		if err != nil {
			continue
		}
		for _, file := range stack.Files {
			if file != stack.File {
				s.included[path.Base(file)] = true
			}
		}
	}
	for _, file := range tree.Texts() {
		text, err := tree.Read(file)
		if err == nil && strings.Contains(text, authstack.ModuleName) {
			s.file(file, text)
		}
	}
	return s.found
}

// file looks at one file: is it opened at all?
func (s *search) file(file, text string) {
	name := path.Base(file)
	counts, found := s.tree.Find(name)
	original := Original(s.tree, s.settings, name)
	switch {
	case file == pamstack.ConfFile:
		s.conf(text)
	case strings.Contains(name, authstack.CopyInfix):
		// otpctl pam disable leaves the line there, as it is meant to.
	case original != "":
		s.whole(file, text, Text{Name: original, What: "The line stands in a copy of a file of pam.d, which libpam does not open"})
	case found && counts != file:
		s.whole(file, text, Text{Name: name, What: "The line stands in the distribution's file, and libpam opens " + counts + " instead"})
	case strings.ToLower(name) != name && !s.included[name]:
		s.whole(file, text, Text{Name: strings.ToLower(name), What: "The line stands in a file with capitals in its name, and libpam asks for small ones",
			Fix: "then remove " + file})
	default:
		s.misnamed(file, text)
		s.inside(file, text)
	}
}

// whole adds the lines of a file that is not opened.
func (s *search) whole(file, text string, found Text) {
	for _, statement := range pamstack.Statements(text) {
		if isOurs(statement.Fields) {
			found.Position = pamstack.Position{File: file, Line: statement.First}
			s.found = append(s.found, found)
			return
		}
	}
}

// isOurs says whether the fields are of a line that asks for a code.
func isOurs(fields []string) bool {
	return len(fields) > 2 && strings.EqualFold(strings.TrimPrefix(fields[0], "-"), "auth") && path.Base(fields[2]) == authstack.ModuleName
}

// conf looks through pam.conf, whose lines begin with the service.
func (s *search) conf(text string) {
	if len(s.tree.Texts()) == 1 {
		return // without pam.d it counts
	}
	for _, statement := range pamstack.Statements(text) {
		if len(statement.Fields) > 1 && isOurs(statement.Fields[1:]) {
			s.found = append(s.found, Text{Position: pamstack.Position{File: pamstack.ConfFile, Line: statement.First}, Name: strings.ToLower(statement.Fields[0]),
				What: "The line stands in pam.conf, which libpam does not open where there is " + pamstack.AdminDir,
				Fix:  "then take it out here"})
		}
	}
}

// misnamed finds a file of a service that no program asks for, and that is named
// nearly like one that does not ask for a code.
func (s *search) misnamed(file, text string) {
	name := path.Base(file)
	if _, known := s.settings.Services[name]; known || s.included[name] {
		return
	}
	for _, statement := range pamstack.Statements(text) {
		named := slices.ContainsFunc(statement.Fields, func(field string) bool { return strings.HasPrefix(field, "protocol=") })
		if !isOurs(statement.Fields) {
			continue
		}
		if meant := s.meant(name, named); meant != "" {
			s.found = append(s.found, Text{Position: pamstack.Position{File: file, Line: statement.First}, Name: meant,
				What: "The line stands in a file for a service " + name + ", and that of " + meant + " has none",
				Fix:  "then remove " + file})
		}
		return
	}
}
