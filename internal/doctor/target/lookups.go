package target

import "time"

// LookingUp bounds how long a part of a run looks names up, and how long a name service
// may take to list all.
const LookingUp = 10 * time.Second

// LookingUpFrom begins to look names up. late says whether that is over by the clock
// now.
func LookingUpFrom(now func() time.Time) (late func() bool) {
	began := now()
	return func() bool { return now().Sub(began) > LookingUp }
}
