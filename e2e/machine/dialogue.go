package machine

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Answers are what a person types at the prompts, each list in turn. A text is
// followed by the return key unless it ends with a control character.
type Answers struct {
	Names     []string // at "login:"
	Passwords []string
	Codes     []string
}

// Dialogue is what became of a program's questions.
type Dialogue struct {
	// Transcript is what the terminal showed, with what was typed: the codes
	// as they are, **** for passwords.
	Transcript string
	// Passwords and Codes count the prompts that were seen.
	Passwords, Codes int
	// Status is the exit status, -1 if the program was ended.
	Status int
	// Hung is set when the program neither asked nor ended in time.
	Hung bool
	// AskedOn is set when there was no answer left for a prompt; the program
	// is ended then.
	AskedOn bool
}

// A prompt is what a program waits behind: the end of the output.
var promptPattern = regexp.MustCompile(`(?:^|[\n\r])[^\n\r]*?((?i)password[^\n\r:]*|Verification code|Break-glass code|login): ?$`)

// Answer types the answers at the prompts until the program ends, each once the program
// waits for it: su, login and others throw away what is typed before they read, and a
// signal that comes before is lost.
func (c *Terminal) Answer(answers Answers, patience time.Duration) Dialogue {
	var d Dialogue
	var transcript strings.Builder
	deadline := time.Now().Add(patience)
	offset := 0
	for {
		prompt, err := c.await(offset, promptPattern, deadline)
		shown := c.Output(offset)
		offset += len(shown)
		transcript.WriteString(shown)
		if err != nil {
			d.Hung = true
			break
		}
		if prompt == nil {
			<-c.ended
			d.Status = c.status
			d.Transcript = tidy(transcript.String() + c.Output(offset))
			return d
		}
		answer, show, ok := d.next(prompt[1], answers)
		if !ok {
			d.AskedOn = true
			break
		}
		transcript.WriteString(show)
		_ = until(time.Until(deadline), c.Waits) // what it is typed for, or the deadline, says whether it did
		send := c.Send
		if answer == interrupt {
			send = c.insist
		}
		if err := send(answer); err != nil {
			fmt.Fprintf(&transcript, "[cannot type: %v]", err)
		}
	}
	c.Kill()
	d.Status = -1
	d.Transcript = tidy(transcript.String())
	return d
}

// interrupt is the key that ends a program.
const interrupt = "\x03"

// insist sends a key again, as a person does, until the program heeds it. The
// signal of an interrupt that comes between sudo's prompt and its read(2) is
// lost: its handler only notes it, and the read waits all the same.
func (c *Terminal) insist(key string) error {
	shown := len(c.Output(0))
	for range 10 {
		if err := c.Send(key); err != nil {
			return err
		}
		for range 10 {
			select {
			case <-c.ended:
				return nil
			case <-time.After(100 * time.Millisecond):
			}
			if len(c.Output(0)) > shown {
				return nil
			}
		}
	}
	return nil
}

// next counts the prompt and picks its answer and what to show of it.
func (d *Dialogue) next(prompt string, answers Answers) (answer, show string, ok bool) {
	pick := func(from []string, n int) (string, bool) {
		if n > len(from) {
			return "", false
		}
		return withReturn(from[n-1]), true
	}
	switch {
	case prompt == "Verification code", prompt == "Break-glass code":
		d.Codes++
		answer, ok = pick(answers.Codes, d.Codes)
		return answer, printable(answer), ok
	case prompt == "login":
		answer, ok = pick(answers.Names, 1)
		return answer, "", ok // login names are echoed
	}
	d.Passwords++
	answer, ok = pick(answers.Passwords, d.Passwords)
	return answer, "****", ok
}

func withReturn(text string) string {
	if text != "" && text[len(text)-1] < ' ' {
		return text
	}
	return text + "\r"
}

// printable shows control characters as a terminal does.
func printable(text string) string {
	var shown strings.Builder
	for _, r := range strings.TrimSuffix(text, "\r") {
		if r < ' ' {
			shown.WriteRune('^')
			r += '@'
		}
		shown.WriteRune(r)
	}
	return shown.String()
}

func tidy(transcript string) string {
	return strings.ReplaceAll(transcript, "\r\n", "\n")
}

// Greet is a command that says who is in, in words that no prompt or echo has.
const Greet = `echo "$(id -un) is"" in"`

// In says whether the dialogue ended with p being in.
func (d Dialogue) In(p *Person) bool {
	return strings.Contains(d.Transcript, p.Name+" is in")
}
