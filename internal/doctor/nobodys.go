package doctor

import (
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// nobodys finds secret files of people whom the machine does not know. Somebody
// was renamed, and nothing is asked of the new name; or somebody is gone, and a
// new account of that name would be asked for codes that it cannot have. A name
// service that does not answer is doubt, and is asked no further.
func (e *exam) nobodys(path string, names []string) {
	var unknown []string
	var shared sharing
	late := target.LookingUpFrom(e.Machine.Now)
	for i, name := range names {
		found, err := e.Machine.UserKnown(name)
		if err == nil && found {
			err = shared.look(e, name, names)
		}
		if err == nil && late() && i+1 < len(names) {
			err = fmt.Errorf("%d of %d names took more than %v", i+1, len(names), target.LookingUp)
		}
		if err != nil {
			e.add(finding.Finding{Severity: finding.Note, ID: "user-doubtful", File: path, What: "Whether this machine knows all who have a secret file cannot be looked up: " + err.Error() + ".",
				Follows: "Somebody who was renamed may be let in without a code, and nobody would see it.",
				Fix:     "See that the name service answers: getent passwd USER."})
			break
		}
		if !found {
			unknown = append(unknown, name)
		}
	}
	shared.tell(e, path)
	if len(unknown) == 0 {
		return
	}
	first := unknown[0]
	e.add(finding.Finding{Severity: finding.Warning, ID: "user-unknown", File: path,
		What:    "This machine knows no user of these secret files: " + finding.Some(unknown) + ".",
		Follows: "If it was renamed, nothing is asked of the new name. A new account of the old name would be asked for codes that it cannot have.",
		Fix:     "After usermod -l: otpctl rename " + first + " NEW. After userdel: otpctl remove " + first + ". If only the password stage knows such people, excuse it in /etc/otpgate/doctor.toml."})
}

// sharing is which other login names have the uid of somebody with a secret file.
type sharing struct {
	// asked are asked for the codes of that file, unseen are not: a login by them
	// finds no name but its own.
	asked, unseen []string
	rename        string
}

// look adds the other names of one of those that have a secret file.
func (s *sharing) look(e *exam, name string, files []string) error {
	others, err := e.Machine.Others(name)
	for _, other := range others {
		if _, has := slices.BinarySearch(files, other); err != nil || has {
			continue
		}
		back, err := e.Machine.Others(other)
		switch {
		case err != nil:
			return err
		case slices.Contains(back, name):
			s.asked = append(s.asked, other+" (as "+name+")")
		default:
			s.unseen = append(s.unseen, other+" (as "+name+")")
			s.rename = name + " " + other
		}
	}
	return err
}

func (s *sharing) tell(e *exam, path string) {
	if len(s.asked) > 0 {
		e.add(finding.Finding{Severity: finding.Note, ID: "uid-shared", File: path, What: "Other login names have the uid of somebody with a secret file: " + finding.Some(s.asked) + ".",
			Follows: "A login by such a name is asked for the codes of that file.",
			Fix:     "Nothing is to be done if they are one person's. Otherwise give them a uid of their own, or a secret file: otpctl enroll."})
	}
	if len(s.unseen) > 0 {
		e.add(finding.Finding{Severity: finding.Warning, ID: "uid-shared-unseen", File: path, What: "Other login names have the uid of somebody with a secret file, and a directory has one of the two: " + finding.Some(s.unseen) + ".",
			Follows: "A login by such a name does not find the secret file, and is not asked for a code.",
			Fix:     "Put the file under the first name of the uid: otpctl rename " + s.rename + "."})
	}
}
