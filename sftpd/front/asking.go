package main

import (
	"strings"
	"unicode/utf8"
)

// maxInstruction is what OpenSSH's client shows of an instruction, in bytes: it
// takes it for a message of its log.
const maxInstruction = 1000

// asking is the instruction and the prompt of a question. OpenSSH's client cuts
// long instructions and writes what is not ASCII in octal, so a QR code goes
// into the prompt, where sshd puts all that PAM tells.
func asking(told []string, prompt string) (instruction, asked string) {
	text := strings.Join(told, "\n")
	if len(text) <= maxInstruction && utf8.RuneCountInString(text) == len(text) {
		return text, prompt
	}
	return "", text + "\n" + prompt
}
