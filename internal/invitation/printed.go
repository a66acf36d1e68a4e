package invitation

import "fmt"

// Links, keys and codes are for one browser. Printed with any verb, what has them shows
// nothing of them, so that no log gets one by way of a message.

// Format implements fmt.Formatter.
func (c Created) Format(state fmt.State, _ rune) {
	fmt.Fprintf(state, "an invitation until %v", c.Ends)
}

// Format implements fmt.Formatter.
func (s Setup) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "the setup of %q", s.ID) }

// Format implements fmt.Formatter.
func (a Answer) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "codes from %q", a.Remote) }

// Format implements fmt.Formatter.
func (e Enrolled) Format(state fmt.State, _ rune) {
	fmt.Fprintf(state, "the enrollment of %q, %d recovery codes", e.Factor.ID, len(e.RecoveryCodes))
}
