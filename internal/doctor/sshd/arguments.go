package sshd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/unit"
)

// Options of sshd(8) that take a value, and those that say what is in force.
const (
	withValue = "CEbcfghkopu"
	decides   = "fhop46"
)

// daemonOf reads arguments as sshd does, by getopt(3). What has nothing to do
// with what is in force is left out.
func daemonOf(words []unit.Word) (d daemon) {
	for i := 0; i < len(words); i++ {
		letters, ok := strings.CutPrefix(words[i].Text, "-")
		if !ok || letters == "" {
			d.goOn(words[i].Text)
			continue
		}
		for at := 0; at < len(letters); at++ {
			letter := letters[at : at+1]
			if !strings.Contains(withValue, letter) {
				if strings.Contains(decides, letter) {
					d.query.Arguments = append(d.query.Arguments, "-"+letter)
				}
				continue
			}
			value := unit.Word{Position: words[i].Position, Text: letters[at+1:]}
			if value.Text == "" && i+1 < len(words) {
				i++
				value = words[i]
			}
			d.option(letter, value)
			break
		}
	}
	return d
}

func (d *daemon) option(letter string, value unit.Word) {
	switch {
	case letter == "f":
		d.query.Config, d.unclear = value.Text, ""
		if strings.ContainsAny(value.Text, "%$") || !filepath.IsAbs(value.Text) {
			d.unclear = value.Text
		}
	case letter == "o":
		d.options = append(d.options, value)
		d.query.Arguments = append(d.query.Arguments, "-o", value.Text)
	case strings.Contains(decides, letter):
		d.query.Arguments = append(d.query.Arguments, "-"+letter, value.Text)
	}
}

// goOn adds a word to the option before it: sshd takes no others, but a running
// one's title has lost its quotes.
func (d *daemon) goOn(text string) {
	last, options := len(d.query.Arguments)-1, len(d.options)-1
	if options >= 0 && d.query.Arguments[last] == d.options[options].Text {
		d.options[options].Text += " " + text
		d.query.Arguments[last] = d.options[options].Text
	}
}

// leadsToSSHD says whether a path is a link to an sshd, as those have it whose PAM
// service is to be called otherwise.
func leadsToSSHD(root, path string) bool {
	if linked, err := os.Readlink(root + path); err == nil {
		return filepath.Base(linked) == program
	}
	file, err := os.Stat(root + path)
	own, missing := os.Stat(root + stockCommand[0].Text)
	return err == nil && missing == nil && os.SameFile(file, own)
}

// calledLike says whether a command has an sshd's name with something behind it, as a copy
// of one has, and is told to listen by a configuration of its own. The package's helpers
// are not.
func calledLike(words []unit.Word) bool {
	listens := slices.ContainsFunc(words[1:], func(w unit.Word) bool { return strings.HasPrefix(w.Text, "-f") || w.Text == "-D" })
	return strings.HasPrefix(filepath.Base(words[0].Text), program) && listens
}
