package sshd

import (
	"cmp"
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// setting is a line of sshd's configuration. It serves to say where a value
// comes from; what is in force is sshd's to say.
type setting struct {
	pamstack.Position
	keyword, value string
	// match is the Match line it is under, nil if none.
	match *setting
	// argument is the option that it is, if it stands in no file.
	argument string
}

// settingsOf reads a daemon's arguments and its sshd_config(5) with its includes,
// in sshd's order. What cannot be read is left out: sshd itself complains about
// that.
func settingsOf(root string, d daemon) []setting {
	r := reader{root: root}
	for _, option := range d.options {
		keyword, value := splitKeyword(option.Text)
		r.all = append(r.all, setting{Position: option.Position, keyword: keyword, value: value, argument: option.Text})
	}
	r.file(d.config(), nil, 0)
	return r.all
}

// config is the file that it reads first.
func (d daemon) config() string { return cmp.Or(d.query.Config, target.SSHDConfig) }

type reader struct {
	root string
	all  []setting
}

func (r *reader) file(path string, match *setting, depth int) {
	outer := match
	for place, line := range target.Lines(r.root, path, depth) {
		keyword, value := splitKeyword(line)
		s := setting{Position: place, keyword: keyword, value: value, match: match}
		switch keyword {
		case "":
		case "match":
			s.match = outer // of the Include by which this file is read
			r.all = append(r.all, s)
			match = &s
		case "include":
			r.all = append(r.all, s)
			r.include(s, depth)
		default:
			r.all = append(r.all, s)
		}
	}
}

func (r *reader) include(s setting, depth int) {
	for pattern := range strings.FieldsSeq(s.value) {
		for _, path := range target.Glob(r.root, includePattern(r.root, pattern)) {
			r.file(path, s.match, depth+1)
		}
	}
}

// includePattern is what an Include names, below the root.
func includePattern(root, named string) string {
	named = strings.TrimPrefix(strings.Trim(named, `"`), root)
	if !filepath.IsAbs(named) {
		named = filepath.Join(filepath.Dir(target.SSHDConfig), named)
	}
	return named
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

// origin is the line that a value comes from: the first one wins. Where none says
// so, it is the whole file.
func (v view) origin(keyword string) (setting, bool) {
	for _, s := range v.settings {
		if s.keyword == keyword && s.match != nil && v.match != nil && s.match.Position == v.match.Position {
			return s, true
		}
	}
	for _, s := range v.settings {
		if s.keyword == keyword && s.match == nil {
			return s, true
		}
	}
	return setting{Position: pamstack.Position{File: v.config()}}, false
}

// later finds a line that wants another value and comes too late.
func (v view) later(first setting, value string) (setting, bool) {
	past := false
	for _, s := range v.settings {
		if past && s.match == nil && s.keyword == first.keyword && strings.EqualFold(s.value, value) {
			return s, true
		}
		past = past || s.Position == first.Position
	}
	return setting{}, false
}

// dropIn is the file that fixes name, if the daemon reads it before the line that
// is wrong.
const dropIn = "/etc/ssh/sshd_config.d/10-otpgate.conf"

// where says where a setting belongs that is to count in place of the one that a
// keyword has.
func (v view) where(keyword string) string {
	wrong, written := v.origin(keyword)
	included := -1
	for i, s := range v.settings {
		if s.keyword == "include" && s.match == nil && included < 0 && v.reads(s, dropIn) {
			included = i
		}
		if written && s.Position == wrong.Position {
			break
		}
	}
	switch {
	case wrong.match != nil:
		return "in that Match"
	case included >= 0 && (filepath.Dir(wrong.File) != filepath.Dir(dropIn) || wrong.File >= dropIn):
		return "in a drop-in that comes first, such as " + dropIn
	case written:
		return "in place of " + wrong.Position.String()
	}
	return "in " + v.config() + ", before any Match"
}

// reads says whether an Include names a file.
func (v view) reads(include setting, path string) bool {
	for pattern := range strings.FieldsSeq(include.value) {
		if ok, err := filepath.Match(includePattern(v.Machine.Root, pattern), path); ok && err == nil {
			return true
		}
	}
	return false
}
