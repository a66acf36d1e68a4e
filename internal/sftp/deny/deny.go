// Package deny says which paths an SFTP session may not touch, whatever the
// user's rights are.
//
// A pattern without a slash names files and directories wherever they are
// (".ssh", "*.exe"). One that begins with a slash is a path from the root of
// the session ("/srv/*/private"). "*", "?" and "[a-z]" are as in path.Match and
// never match a slash. What is beneath something denied is denied too. That
// something denied is there is no secret, and a hard link made elsewhere than in
// SFTP is a name of its own.
//
// The entry point is [Parse]. Paths to match must be real ones: absolute,
// without links, "." and "..", as the kernel tells them of an open file. By
// the text that a client sent nothing can be denied.
package deny

import (
	"fmt"
	"path"
	"strings"
)

// Patterns are what is denied. None deny nothing.
type Patterns struct {
	names []string   // for one component
	paths [][]string // components from the root
}

// Parse reads patterns; the error names the one that is none.
func Parse(texts []string) (Patterns, error) {
	var patterns Patterns
	for _, text := range texts {
		if _, err := path.Match(text, ""); err != nil || text == "" {
			return Patterns{}, fmt.Errorf("deny %q: not a pattern", text)
		}
		if !strings.Contains(text, "/") {
			patterns.names = append(patterns.names, text)
			continue
		}
		if path.Clean(text) != text || text[0] != '/' || text == "/" {
			return Patterns{}, fmt.Errorf("deny %q: expected a name without a slash, or a path from / without . and ..", text)
		}
		components := strings.Split(text[1:], "/")
		for _, component := range components {
			if _, err := path.Match(component, ""); err != nil {
				return Patterns{}, fmt.Errorf("deny %q: a bracket holds a slash", text)
			}
		}
		patterns.paths = append(patterns.paths, components)
	}
	return patterns, nil
}

// Empty says whether nothing is denied.
func (p Patterns) Empty() bool { return len(p.names) == 0 && len(p.paths) == 0 }

// Match says whether a real path is denied.
func (p Patterns) Match(real string) bool {
	components := split(real)
	for _, name := range components {
		for _, pattern := range p.names {
			if match(pattern, name) {
				return true
			}
		}
	}
	for _, pattern := range p.paths {
		if len(pattern) <= len(components) && matchAll(pattern, components[:len(pattern)]) {
			return true
		}
	}
	return false
}

// Above says whether something denied by its path may lie beneath a real path:
// renaming that would give it a name that is not denied, and renaming something
// to it would give what that holds a name that is.
func (p Patterns) Above(real string) bool {
	components := split(real)
	for _, pattern := range p.paths {
		if len(pattern) > len(components) && matchAll(pattern[:len(components)], components) {
			return true
		}
	}
	return false
}

func split(real string) []string {
	real = strings.Trim(real, "/")
	if real == "" {
		return nil
	}
	return strings.Split(real, "/")
}

func matchAll(patterns, names []string) bool {
	for i, pattern := range patterns {
		if !match(pattern, names[i]) {
			return false
		}
	}
	return true
}

func match(pattern, name string) bool {
	matched, err := path.Match(pattern, name)
	return matched || err != nil
}
