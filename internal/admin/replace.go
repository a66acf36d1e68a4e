package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
)

// NothingToReplaceError says that an enrollment was to take the place of a
// confirmed factor that is not there. Whoever asks for that believes that the
// old device stops counting, so that it must not become a second one.
type NothingToReplaceError struct {
	User, ID string
	Have     []string // the ids of the confirmed factors
}

func (n NothingToReplaceError) Error() string {
	have := "none"
	if len(n.Have) > 0 {
		have = strings.Join(n.Have, ", ")
	}
	return fmt.Sprintf("there is no confirmed factor %q to replace; %s has: %s", n.ID, n.User, have)
}

// replaceable refuses to replace what is not there. One that waits for its
// first code can be replaced where nothing else counts.
func replaceable(person account.Person, id string) error {
	var have []string
	for _, f := range person.Confirmed() {
		have = append(have, f.ID)
	}
	if slices.Contains(have, id) || len(have) == 0 && hasFactor(person, id) {
		return nil
	}
	return NothingToReplaceError{person.User, id, have}
}

func hasFactor(person account.Person, id string) bool {
	return slices.ContainsFunc(person.Factors, func(f account.Factor) bool { return f.ID == id })
}
