package placeholder

import (
	"strings"
	"testing"
)

func TestFill(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"plain", "plain"},
		{"{to}", "<to>"},
		{"a {to} b {code}{code}", "a <to> b <code><code>"},
		{`{"to":"{to}","n":{},"m":{ "x": [{"c":"{code}"}]}}`, `{"to":"<to>","n":{},"m":{ "x": [{"c":"<code>"}]}}`},
		{"<style>p {margin: 0} b{}</style>{code}", "<style>p {margin: 0} b{}</style><code>"},
		{"a { b } {1} {", "a { b } {1} {"},
		{"\\{é}{to}", "\\{é}<to>"},
	} {
		template, err := Parse(test.text, "to", "code")
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if got := template.Fill(func(name string) string { return "<" + name + ">" }); got != test.want {
			t.Errorf("%q: expected %q, found %q", test.text, test.want, got)
		}
		if has := template.Has("code"); has != strings.Contains(test.want, "<code>") {
			t.Errorf("%q: found that it has a code: %v", test.text, has)
		}
	}
}

// What is filled in is not looked at again.
func TestFillOnce(t *testing.T) {
	template, err := Parse("{to}{code}", "to", "code")
	if err != nil {
		t.Fatal(err)
	}
	if got := template.Fill(func(string) string { return "{code}" }); got != "{code}{code}" {
		t.Errorf("found %q", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"{cod}", "{cod} is not known here, expected one of {to}, {code}"},
		{`{"a":"{otp-tokn}"}`, "{otp-tokn} is not known here"},
		{"{CODE}", "{CODE} is not known here"},
		{"{ code }", "expected {code}, with one brace on either side"},
		{"{code", "expected {code}, with one brace"},
		{"{code]", "expected {code}, with one brace"},
		{"{{code}}", "expected {code}, with one brace"},
		{"{{ Code }}", "expected {code}, with one brace"},
		{"{SECRETSECRETSECRETSECRETSECRET}", "a placeholder of 30 characters is not known here"},
	} {
		_, err := Parse(test.text, "to", "code")
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q:\n got %v\nwant %s", test.text, err, test.want)
		}
	}
}

// Filled with their own names, all placeholders stand as they were.
func FuzzParse(f *testing.F) {
	f.Add(`{"to":"{to}","text":"{code}"}`)
	f.Add("{{code}}{to")
	f.Fuzz(func(t *testing.T, text string) {
		template, err := Parse(text, "to", "code")
		if err != nil {
			return
		}
		if again := template.Fill(func(name string) string { return "{" + name + "}" }); again != text {
			t.Errorf("%q became %q", text, again)
		}
	})
}
