package people

import (
	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// remarkOnNobodys names secret files of people whom the machine does not know:
// somebody was renamed, who is asked for nothing now, or is gone, and a new
// account of that name would be asked for codes that it cannot have. It returns
// their names.
func remarkOnNobodys(a *invocation.App, files account.Store, names []string) map[string]bool {
	late, nobodys := target.LookingUpFrom(a.Now), map[string]bool{}
	for i, name := range names {
		if late() {
			a.Note("%d of %d names were looked up in %v; the others may have files of people whom this machine does not know", i, len(names), target.LookingUp)
			return nobodys
		}
		_, found, err := a.Lookup(name)
		if err != nil {
			a.Note("whether this machine knows %s cannot be looked up: %v", name, err)
			return nobodys
		}
		if !found {
			nobodys[name] = true
			a.Note("%s: this machine knows no user %s; unless only the password stage does: after usermod -l, %s rename %s NEW, as nothing is asked of the new name; after userdel, %s remove %s", files.Path(name), name, a.Self(), name, a.Self(), name)
		}
	}
	return nobodys
}
