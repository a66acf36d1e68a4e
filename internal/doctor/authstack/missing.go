package authstack

import (
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/spelling"
)

// confFile has the lines of all services where there is no directory.
const confFile = "/etc/pam.conf"

// Missing is the error for a service that was asked for and has no lines of its
// own: libpam takes those of "other" in silence, so it is a slip. It is nil if
// there is such a service.
func Missing(tree pamstack.Tree, stack pamstack.Stack) error {
	if stack.File != "" && (stack.File != confFile || len(stack.Own()) > 0) {
		return nil
	}
	all, err := tree.Services()
	if err != nil {
		return fmt.Errorf("there is no service %s, and which there are cannot be read: %w", stack.Service, err)
	}
	if near, found := spelling.Near(stack.Service, slices.DeleteFunc(all, IsCopy)); found {
		return fmt.Errorf("there is no service %s; did you mean %s?", stack.Service, near)
	}
	return fmt.Errorf("there is no service %s: expected a file %s/%s", stack.Service, pamstack.AdminDir, stack.Service)
}
