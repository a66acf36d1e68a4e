package people

import (
	"time"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// lookingUp bounds how long the names of many people are looked up for remarks.
const lookingUp = 10 * time.Second

// remarkOnNobodys names secret files of people whom the machine does not know:
// somebody was renamed, who is asked for nothing now, or is gone, and a new
// account of that name would be asked for codes that it cannot have. It returns
// their names.
func remarkOnNobodys(a *invocation.App, g admin.People, names []string) map[string]bool {
	began, nobodys := time.Now(), map[string]bool{}
	for i, name := range names {
		if time.Since(began) > lookingUp {
			a.Note("%d of %d names were looked up in %v; the others may have files of people whom this machine does not know", i, len(names), lookingUp)
			return nobodys
		}
		_, found, err := a.Lookup(name)
		if err != nil {
			a.Note("whether this machine knows %s cannot be looked up: %v", name, err)
			return nobodys
		}
		if !found {
			nobodys[name] = true
			a.Note("%s/%s.toml: this machine knows no user %s; unless only the password stage does: after usermod -l, %s rename %s NEW, as nothing is asked of the new name; after userdel, %s remove %s", g.Config.Paths.Users, name, name, a.Self(), name, a.Self(), name)
		}
	}
	return nobodys
}
