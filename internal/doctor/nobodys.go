package doctor

import (
	"fmt"
	"strings"
	"time"
)

// lookingUp bounds how long names of secret files are looked up.
const lookingUp = 10 * time.Second

// nobodys finds secret files of people whom the machine does not know. Somebody
// was renamed, and nothing is asked of the new name; or somebody is gone, and a
// new account of that name would be asked for codes that it cannot have. A name
// service that does not answer is doubt, and is asked no further.
func (e *exam) nobodys(path string, names []string) {
	var unknown []string
	began := time.Now()
	for i, name := range names {
		found, err := e.Machine.UserKnown(name)
		if err == nil && time.Since(began) > lookingUp && i+1 < len(names) {
			err = fmt.Errorf("%d of %d names took more than %v", i+1, len(names), lookingUp)
		}
		if err != nil {
			e.add(Finding{Severity: Note, ID: "user-doubtful", File: path, What: "Whether this machine knows all who have a secret file cannot be looked up: " + err.Error() + ".",
				Follows: "Somebody who was renamed may be let in without a code, and nobody would see it.",
				Fix:     "See that the name service answers: getent passwd USER."})
			break
		}
		if !found {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return
	}
	first := unknown[0]
	e.add(Finding{Severity: Warning, ID: "user-unknown", File: path,
		What:    "This machine knows no user of these secret files: " + some(unknown) + ".",
		Follows: "If it was renamed, nothing is asked of the new name. A new account of the old name would be asked for codes that it cannot have.",
		Fix:     "After usermod -l: otpctl rename " + first + " NEW. After userdel: otpctl remove " + first + ". If only the password stage knows such people: --ignore user-unknown."})
}

// some lists the first of many names.
func some(names []string) string {
	const shown = 10
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
