package target

import (
	"iter"
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// maxDepth is how deep files that include others are followed, so that one that
// includes itself ends; sshd has the same bound.
const maxDepth = 16

// Lines are those of a configuration file below root, without the spaces around
// them, each with its place: none if it cannot be read, or if depth files
// included each other to come to it and that is more than any program follows.
func Lines(root, path string, depth int) iter.Seq2[pamstack.Position, string] {
	return func(yield func(pamstack.Position, string) bool) {
		data, err := Read(root, path)
		if err != nil || depth > maxDepth {
			return
		}
		number := 0
		for line := range strings.Lines(string(data)) {
			number++
			if !yield(pamstack.Position{File: path, Line: number}, strings.TrimSpace(line)) {
				return
			}
		}
	}
}

// Glob are the files of a pattern below root, named as from there.
func Glob(root, pattern string) []string {
	paths, err := filepath.Glob(root + pattern)
	if err != nil {
		return nil
	}
	for i := range paths {
		paths[i] = strings.TrimPrefix(paths[i], root)
	}
	return paths
}
