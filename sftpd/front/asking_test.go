package main

import (
	"strings"
	"testing"
)

func TestAsking(t *testing.T) {
	long := strings.Repeat("x", maxInstruction+1)
	for _, test := range []struct {
		told                []string
		instruction, prompt string
	}{
		{nil, "", "Code: "},
		{[]string{"one", "two"}, "one\ntwo", "Code: "},
		{[]string{"one", "██▀▄"}, "", "one\n██▀▄\nCode: "},
		{[]string{"sent to a…e@example.com"}, "", "sent to a…e@example.com\nCode: "},
		{[]string{long}, "", long + "\nCode: "},
	} {
		if instruction, prompt := asking(test.told, "Code: "); instruction != test.instruction || prompt != test.prompt {
			t.Errorf("%q: got %q and %q", test.told, instruction, prompt)
		}
	}
}
