package authstack

import (
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// asking are password modules that ask again whatever is there, unless they are
// told not to. pam_unix takes what is there by itself.
var asking = words("sss ldap krb5 winbind")

// takes are the arguments by which they take what is there.
var takes = []string{"use_first_pass", "try_first_pass", "force_first_pass"}

// behindSplit is about what stands between the two lines of a server of one field.
func (s Stack) behindSplit() (found []finding.Finding) {
	if len(s.Splits) == 0 || len(s.Checks) == 0 {
		return nil
	}
	last := s.Checks[len(s.Checks)-1]
	kinds := s.kinds()
	var again []int
	others := false // whether some module between them takes the password that is left
	for i := s.Splits[0]; i < last; i++ {
		switch {
		case kinds[i] != password:
		case asking[short(s.Lines[i])] && !slices.ContainsFunc(takes, s.Lines[i].Has):
			again = append(again, i)
		default:
			others = true
		}
	}
	for _, i := range again {
		line := s.Lines[i]
		f := s.line(i, finding.Finding{Severity: finding.Error, ID: "password-asked-again",
			What:    fmt.Sprintf("%s asks for the password again behind the line with split (%s), and gets the whole field from the server, with the code.", line.Name(), s.Lines[s.Splits[0]].Position),
			Follows: "Whoever types a code behind the password is denied.",
			Fix:     "Give the line the argument use_first_pass."})
		if others {
			f.Severity = finding.Warning
			f.Follows = "Whoever has the password there, and types a code behind it, is denied."
		}
		found = append(found, f)
	}
	for _, i := range s.Splits {
		if i < last {
			found = append(found, s.differs(i, last)...)
		}
	}
	return found
}

// differs finds a line with split that asks another policy than the line that asks
// for the code.
func (s Stack) differs(split, check int) (found []finding.Finding) {
	one, two := s.Lines[split], s.Lines[check]
	for _, argument := range []struct {
		name   string
		unsaid string // what holds where the line says nothing
	}{{"protocol", string(s.byService)}, {"config", config.DefaultPath}} {
		says := func(line pamstack.Line) string {
			if value := line.Arg(argument.name); value != "" {
				return value
			}
			return argument.unsaid
		}
		if says(one) == says(two) {
			continue
		}
		found = append(found, s.line(split, finding.Finding{Severity: finding.Warning, ID: "split-differs",
			What:    fmt.Sprintf("The line with split has %s, and the line that asks for the code (%s) has %s.", shown(argument.name, says(one)), two.Position, shown(argument.name, says(two))),
			Follows: "Where the one is asked for a code and the other is not, a code is taken off and never checked, or it stays on the password and denies.",
			Fix:     "Give both lines the same " + argument.name + "=."}))
	}
	return found
}

func shown(name, value string) string {
	if value == "" {
		return "no " + name + "="
	}
	return name + " " + value
}
