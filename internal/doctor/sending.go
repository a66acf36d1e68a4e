package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// nothingToSendWith says who gets no code, of those who wait for one by a table that is
// not there.
func (e *exam) nothingToSendWith(w map[string][]string) {
	for _, table := range []string{"[email]", "[sms]"} {
		users := slices.Compact(w[table])
		if len(users) == 0 {
			continue
		}
		what := users[0]
		if more := len(users) - 1; more > 0 {
			what = fmt.Sprintf("%s and %d more", what, more)
		}
		e.add(finding.Finding{Severity: finding.Warning, ID: "nothing-to-send-with", File: e.configPath(),
			What:    fmt.Sprintf("There is no table %s, and codes are to be sent so to %s.", table, what),
			Follows: "No code reaches them: who has no app, token or recovery code beside is denied.",
			Fix:     "Write the table, see docs/sent-codes.md, or take the factor away: otpctl remove " + users[0] + " --id " + strings.Trim(table, "[]")})
	}
}

// sending finds what keeps codes from going out, whoever they are for.
func (e *exam) sending() {
	if e.settings.Email == nil && e.settings.SMS == nil {
		return
	}
	if e.Machine.Sending != nil {
		if err := e.Machine.Sending(e.settings); err != nil {
			e.add(finding.Finding{Severity: finding.Warning, ID: "cannot-send", File: e.configPath(), What: "No code can be sent: " + err.Error() + ".",
				Follows: "Who has no app, token or recovery code is denied.", Fix: "Correct it; otpctl send-test email USER, or sms, tries the way there."})
		}
	}
	if e.inUse() {
		e.sender()
	}
}

// sender looks for the program that a forked core runs to send codes, as the
// core does.
func (e *exam) sender() {
	places := deliver.SenderPaths
	if e.settings.Paths.Sender != "" {
		places = []string{e.settings.Paths.Sender}
	}
	f := finding.Finding{Severity: finding.Warning, ID: "sender-missing", File: places[0], What: "There is no such program, and codes are to be sent.",
		Follows: "Without a resident verifier no code is sent.", Fix: "Install the package again, or name it in paths.sender."}
	for _, path := range places {
		err := deliver.Program{Path: e.Machine.Root + path}.Check()
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			f.File, f.What = path, "Logins do not run it to send codes: "+err.Error()+"."
			break
		}
	}
	e.add(f)
}
