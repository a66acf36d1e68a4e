package unit

import (
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Variable is one of a service's environment.
type Variable struct {
	pamstack.Position
	Name, Value string
}

// parser reads the files of one unit, the fragment first.
type parser struct {
	root    string
	service *Service
	// own are variables of Environment=, and files are named by EnvironmentFile=.
	own   []Variable
	files []string
	lines []Word // of ExecStart=
}

func (p *parser) file(path string) {
	section, whole := "", ""
	var first pamstack.Position
	for place, line := range target.Lines(p.root, path, 0) {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue // also between the parts of a line
		}
		if whole == "" {
			first = place
		}
		if part, goesOn := strings.CutSuffix(line, `\`); goesOn {
			whole += part + " "
			continue
		}
		line, whole = whole+line, ""
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && section == "[Service]" {
			p.key(first, strings.TrimSpace(key), strings.TrimSpace(value))
		}
	}
}

// key takes one line; an empty value takes back those before.
func (p *parser) key(place pamstack.Position, key, value string) {
	switch key {
	case "ExecStart":
		if p.lines = append(p.lines, Word{place, value}); value == "" {
			p.lines = nil
		}
	case "Environment":
		for _, word := range Split(value) {
			if name, value, ok := strings.Cut(word, "="); ok {
				p.own = append(p.own, Variable{place, name, value})
			}
		}
		if value == "" {
			p.own = nil
		}
	case "IPAddressAllow":
		p.network(&p.service.allow, place, value)
	case "IPAddressDeny":
		p.network(&p.service.deny, place, value)
	case "EnvironmentFile":
		if p.files = append(p.files, strings.TrimPrefix(value, "-")); value == "" {
			p.files = nil
		}
	}
}

// finish puts the variables into the commands.
func (p *parser) finish() {
	p.service.environment = p.own
	for _, pattern := range p.files {
		for _, path := range target.Glob(p.root, pattern) {
			p.service.environment = append(p.service.environment, Variables(p.root, path)...)
		}
	}
	for _, line := range p.lines {
		flags := len(line.Text) - len(strings.TrimLeft(line.Text, "@-:+!|"))
		var words []Word
		for _, word := range Split(line.Text[flags:]) {
			words = append(words, Word{line.Position, p.specified(word)})
		}
		if len(words) == 0 {
			continue
		}
		command := Command{Position: line.Position}
		if strings.Contains(line.Text[:flags], "@") && len(words) > 1 {
			command.Name = words[1].Text
			words = append(words[:1:1], words[2:]...)
		}
		if !strings.Contains(line.Text[:flags], ":") {
			words = append(words[:1:1], p.service.Expanded(words[1:])...)
		}
		command.Words = words
		p.service.Commands = append(p.service.Commands, command)
	}
}

// specified puts in what stands behind a percent sign, as far as the unit's name
// tells.
func (p *parser) specified(word string) string {
	_, instance := templateOf(p.service.Name)
	name := strings.TrimSuffix(p.service.Name, suffix)
	prefix, _, _ := strings.Cut(name, "@")
	pairs := []string{"%%", "%", "%n", p.service.Name, "%N", name, "%p", prefix}
	if instance != "" {
		pairs = append(pairs, "%i", instance, "%I", strings.ReplaceAll(instance, "-", "/"))
	}
	return strings.NewReplacer(pairs...).Replace(word)
}

// Variables are those of a file of variables, as systemd and shells read it.
func Variables(root, path string) []Variable {
	var found []Variable
	whole := ""
	var first pamstack.Position
	for place, line := range target.Lines(root, path, 0) {
		if whole == "" {
			first = place
		}
		if part, goesOn := strings.CutSuffix(line, `\`); goesOn {
			whole += part
			continue
		}
		line, whole = whole+line, ""
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if ok && isName(strings.TrimSpace(name)) {
			found = append(found, Variable{first, strings.TrimSpace(name), unquoted(strings.TrimSpace(value))})
		}
	}
	return found
}
