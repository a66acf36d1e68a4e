package unit

import "strings"

// Split takes a command line apart at its blanks, but for those in quotes or
// behind a backslash.
func Split(text string) []string {
	var words []string
	var word strings.Builder
	quote, open := byte(0), false
	for i := 0; i < len(text); i++ {
		letter := text[i]
		switch {
		case letter == '\\' && i+1 < len(text) && quote != '\'':
			i++
			word.WriteByte(text[i])
			open = true
		case quote != 0 && letter == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(letter)
		case letter == '"' || letter == '\'':
			quote, open = letter, true
		case letter == ' ' || letter == '\t' || letter == '\n':
			if open {
				words = append(words, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteByte(letter)
			open = true
		}
	}
	if open {
		words = append(words, word.String())
	}
	return words
}

// unquoted is a variable's value without its quotes; a blank and # end it as in
// a shell, which reads such files too.
func unquoted(value string) string {
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		value, _, _ = strings.Cut(value[1:], value[:1])
		return value
	}
	value, _, _ = strings.Cut(" "+value, " #")
	return strings.TrimSpace(value)
}

// value is a variable's, the last one of that name.
func (s *Service) value(name string) Variable {
	for i := len(s.environment) - 1; i >= 0; i-- {
		if s.environment[i].Name == name {
			return s.environment[i]
		}
	}
	return Variable{}
}

// Variable is that of the service's own environment, and whether it has one.
func (s *Service) Variable(name string) (found Variable, set bool) {
	found = s.value(name)
	return found, found.Name != ""
}

// Add gives the service more variables, which count before its own.
func (s *Service) Add(more []Variable) { s.environment = append(s.environment, more...) }

// Expanded puts variables in: $NAME alone becomes as many words as it has,
// ${NAME} a part of one.
func (s *Service) Expanded(words []Word) []Word {
	var out []Word
	for _, word := range words {
		if name, alone := strings.CutPrefix(word.Text, "$"); alone && isName(name) {
			value := s.value(name)
			for _, part := range Split(value.Value) {
				out = append(out, Word{value.Position, part})
			}
			continue
		}
		out = append(out, s.braces(word))
	}
	return out
}

func (s *Service) braces(word Word) Word {
	var out strings.Builder
	for rest, more := word.Text, true; more; {
		var before string
		before, rest, more = strings.Cut(rest, "$")
		out.WriteString(before)
		name, behind, closed := strings.Cut(strings.TrimPrefix(rest, "{"), "}")
		switch {
		case strings.HasPrefix(rest, "$"):
			out.WriteString("$")
			rest = rest[1:]
		case strings.HasPrefix(rest, "{") && closed && isName(name):
			value := s.value(name)
			if rest = behind; value.Value != "" {
				word.Position = value.Position
			}
			out.WriteString(value.Value)
		case more:
			out.WriteString("$")
		}
	}
	word.Text = out.String()
	return word
}

func isName(text string) bool {
	return text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
