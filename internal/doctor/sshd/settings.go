package sshd

import (
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// setting is a line of sshd's configuration. It serves to say where a value
// comes from; what is in force is sshd's to say.
type setting struct {
	pamstack.Place
	keyword, value string
	// match is the Match line it is under, nil if none.
	match *setting
}

// settingsOf reads sshd_config(5) with its includes, in sshd's order. What
// cannot be read is left out: sshd itself complains about that.
func settingsOf(root string) []setting {
	r := reader{root: root}
	r.file(target.SSHDConfig, nil, 0)
	return r.all
}

type reader struct {
	root string
	all  []setting
}

func (r *reader) file(path string, match *setting, depth int) {
	for place, line := range target.Lines(r.root, path, depth) {
		keyword, value := splitKeyword(line)
		s := setting{place, keyword, value, match}
		switch keyword {
		case "":
		case "match":
			s.match = nil
			r.all = append(r.all, s)
			match = &s
		case "include":
			r.include(s, depth)
		default:
			r.all = append(r.all, s)
		}
	}
}

func (r *reader) include(s setting, depth int) {
	for pattern := range strings.FieldsSeq(s.value) {
		pattern = strings.Trim(pattern, `"`)
		pattern = strings.TrimPrefix(pattern, r.root)
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(target.SSHDConfig), pattern)
		}
		for _, path := range target.Glob(r.root, pattern) {
			r.file(path, s.match, depth+1)
		}
	}
}

// splitKeyword reads "keyword value" and "keyword=value".
func splitKeyword(line string) (keyword, value string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", ""
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return strings.ToLower(line), ""
	}
	value = strings.TrimLeft(line[end:], " \t=")
	if before, _, commented := strings.Cut(value, " #"); commented {
		value = before
	}
	keyword = strings.ToLower(line[:end])
	if keyword == "challengeresponseauthentication" || keyword == "skeyauthentication" {
		keyword = "kbdinteractiveauthentication"
	}
	return keyword, strings.TrimSpace(value)
}

// origin is the line that a value comes from: the first one wins. Where none
// says so, it is the whole file.
func origin(all []setting, match *setting, keyword string) (setting, bool) {
	for _, s := range all {
		if s.keyword == keyword && s.match != nil && match != nil && s.match.Place == match.Place {
			return s, true
		}
	}
	for _, s := range all {
		if s.keyword == keyword && s.match == nil {
			return s, true
		}
	}
	return setting{Place: pamstack.Place{File: target.SSHDConfig}}, false
}

// later finds a line that wants another value and comes too late.
func later(all []setting, first setting, value string) (setting, bool) {
	past := false
	for _, s := range all {
		if past && s.match == nil && s.keyword == first.keyword && strings.EqualFold(s.value, value) {
			return s, true
		}
		past = past || s.Place == first.Place
	}
	return setting{}, false
}
