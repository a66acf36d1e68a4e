// Package document finds blocks of code and command lines in the project's
// documents, for the tests that hold them to the programs.
package document

import (
	"fmt"
	"slices"
	"strings"
)

// Block is a block of code in a document.
type Block struct {
	Place    string // file and line
	Language string
	Lines    []string // without indentation
}

// Blocks are the blocks of a Markdown text, and what is left of it.
func Blocks(name, text string) (all []Block, prose string, err error) {
	var within *Block
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		language, fence := strings.CutPrefix(trimmed, "```")
		switch {
		case fence && within == nil:
			within = &Block{Place: fmt.Sprintf("%s:%d", name, i+1), Language: language}
		case fence:
			all = append(all, *within)
			within = nil
		case within != nil:
			within.Lines = append(within.Lines, trimmed)
		default:
			prose += line + "\n"
		}
	}
	if within != nil {
		err = fmt.Errorf("%s: the block does not end", within.Place)
	}
	return all, prose, err
}

// Displays are the literal displays of a manual page in mdoc(7). One whose lines
// all begin with the name of a program, in lower case, is a shell's.
func Displays(name, text string) []Block {
	var all []Block
	var within *Block
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, ".Bd -literal"):
			within = &Block{Place: fmt.Sprintf("%s:%d", name, i+1)}
		case line == ".Ed" && within != nil:
			if !slices.ContainsFunc(within.Lines, func(line string) bool { return !isCommand(line) }) {
				within.Language = "sh"
			}
			all = append(all, *within)
			within = nil
		case within != nil:
			within.Lines = append(within.Lines, strings.ReplaceAll(line, `\-`, "-"))
		}
	}
	return all
}

func isCommand(line string) bool {
	for _, start := range []string{"systemctl ", "systemd-", "otpctl ", "otpgate-"} {
		if strings.HasPrefix(line, start) {
			return true
		}
	}
	return false
}

// Command is a command line, and what is shown of its output.
type Command struct {
	Line  string
	Shown []string
}

// Commands are the command lines of a block, without their comments: all of a
// shell's, and those of a console behind its prompts.
func (b Block) Commands() []Command {
	var all []Command
	for i, line := range b.Lines {
		command, prompt := strings.CutPrefix(line, "# ")
		if !prompt {
			command, prompt = strings.CutPrefix(line, "$ ")
		}
		switch {
		case b.Language == "sh":
			all = append(all, Command{Line: Uncommented(line)})
		case b.Language != "console" && (b.Language != "" || i > 0):
		case prompt && !strings.HasPrefix(command, "/etc/"): // the name of the file that follows
			all = append(all, Command{Line: Uncommented(command)})
		case len(all) > 0 && line != "":
			all[len(all)-1].Shown = append(all[len(all)-1].Shown, line)
		}
	}
	// What follows the only prompt of a block without a language is its output.
	if b.Language == "" && len(all) == 1 {
		all[0].Shown = b.Lines[1:]
	}
	return all
}

// Uncommented is a command line without the comment behind it.
func Uncommented(line string) string {
	line, _, _ = strings.Cut(line, " # ")
	return strings.TrimSpace(line)
}
