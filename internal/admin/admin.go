// Package admin changes what is known of people: what otpctl does, as far as it
// is more than one file.
//
// The entry point is [People], with a method for each thing that an admin does to
// somebody: enroll and confirm, import, set, enable, resynchronise, rename, unlock,
// end sessions, back up and restore. It promises that each is done whole or not
// at all, that no used code becomes good by it, and that killed at any point it
// lets nobody in who was not let in before.
package admin

import "github.com/otpgate/otpgate/internal/gate"

// People changes secret files and the ledger of a gate.
type People struct{ *gate.Gate }
