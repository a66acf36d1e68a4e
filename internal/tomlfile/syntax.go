package tomlfile

import (
	"bytes"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// syntax says for what the parser complains of what was expected there. The
// first text that the complaint holds counts.
var syntax = []struct{ complaint, expected string }{
	{"to close table name", "expected a ] behind the table's name, and nothing else"},
	{"to close array table name", "expected ]] behind the table's name, and nothing else"},
	{"expected newline", "expected the end of the line behind the value; several values are a list, [1, 2], and a remark begins with #"},
	{"after key", "expected key = value"},
	{"unterminated", "expected the quote that ends the text"},
	{"not terminated by", "expected the three quotes that end the text"},
	{"strings cannot have new lines", "expected the quote that ends the text, on the same line"},
	{"strings must be quoted", "expected a text in quotes"},
	{"escape", `expected a known escape behind \; a text in 'single quotes' has none`},
	{"start of key", "expected a key or a [table] at the beginning of the line"},
	{"expected key", "expected a key or a [table]"},
	{"array", "expected a comma or a ] behind each value of the list, here or on a line before"},
	{"inline table", "expected a comma or a } behind each key = value, on one line"},
	{"already", "it stands here for the second time; expected it once"},
	{"leading zero", "expected a number without zeros before it, or a text in quotes"},
	{"carriage return", "expected lines that end as on Linux, or with CR LF"},
	{"UTF-8", "expected text in UTF-8"},
	{"control characters", "expected no control characters; in a text in \"double quotes\" they are written \\u001b"},
	{"date", "expected a date and time, such as 2026-11-22T10:00:00Z"},
	{"too large", "expected a smaller number"},
	{"expected value", anyValue},
	{"unexpected character", anyValue},
	{"expected keyword", anyValue},
	{"expected number", anyValue},
	{"expected digit", anyValue},
}

const anyValue = `expected a value: a "text" in quotes, a number, true or false, or a ["list"]`

// explainSyntax says what is wrong with what is no TOML, or is twice. The
// parser's own words may quote a character of the value, so they are not shown.
func explainSyntax(complaint string) string {
	for _, known := range syntax {
		if strings.Contains(complaint, known.complaint) {
			return "not valid TOML: " + known.expected
		}
	}
	return "not valid TOML: expected key = value, or a [table]"
}

// parses says whether data is TOML, but for keys that are given twice.
func parses(data []byte) bool {
	var parser unstable.Parser
	parser.Reset(data)
	for parser.NextExpression() {
		continue
	}
	return parser.Error() == nil
}

// begunOn names the key that line begins, which the parser did not get past.
func begunOn(data []byte, line int) (key string, found bool) {
	lines := bytes.SplitN(data, []byte("\n"), line+1)
	if line < 1 || line > len(lines) {
		return "", false
	}
	before, _, found := bytes.Cut(lines[line-1], []byte("="))
	key = string(bytes.TrimSpace(before))
	return key, found && key != "" && strings.Trim(key, bareLetters) == ""
}

// bareLetters are those of a key without quotes, TOML v1.0.0 section "Keys".
const bareLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
