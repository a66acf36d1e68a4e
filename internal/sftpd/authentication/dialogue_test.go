package authentication

import (
	"testing"

	"github.com/otpgate/otpgate/internal/gate"
)

// A client that has given no answer is asked nothing more, though the engine asks
// again: it is told each time that the client cannot be asked.
func TestEndedDialogueAsksNothing(t *testing.T) {
	for range 100 {
		d := &dialogue{questions: make(chan string, 1), quit: make(chan struct{}), oneField: true}
		close(d.quit)
		answer, err := d.Ask(gate.Prompt)
		if !answer.Password || err != nil || len(d.questions) > 0 {
			t.Fatalf("%+v, %v, and asked %d questions", answer, err, len(d.questions))
		}
	}
}
