package config

import (
	"slices"

	"github.com/otpgate/otpgate/internal/placeholder"
)

// ChangeEmail tells somebody what was changed on the page.
type ChangeEmail struct {
	// Subject, Text and HTML are templates with ChangeWords. Text, and HTML if there is
	// one, must have {what}. Without HTML the message is plain text.
	Subject string `toml:"subject"`
	Text    string `toml:"text"`
	HTML    string `toml:"html"`
}

// IsDefault says whether nobody has written another text.
func (c ChangeEmail) IsDefault() bool { return c == defaultPortal().ChangeEmail }

// IsDefaultManage says the same of the message with the link to the page for people who are
// enrolled.
func (p PortalEmail) IsDefaultManage() bool { return p == defaultPortal().ManageEmail }

// ChangeWords are the placeholders of the message about a change.
var ChangeWords = []string{"what", "user", "host", "remote", "time"}

const defaultManage = `To see and change the devices, recovery codes and logins of {user} on {host},
open this page. It asks for a code of one of your devices:

{link}

The link is for you alone. It is good until {expires}, once.

If you have not asked for it, somebody else has typed your name. Without a code
of yours nobody gets any further; do not open the page.
`

const defaultChange = `{what}

This was done for {user} on {host}, on the page for people, at {time},
from {remote}.

If that was not you, tell whoever runs {host} at once.
`

// checkManage looks at what the page for people who are enrolled needs.
func (p *Portal) checkManage(email *Email) (problem string, key []string) {
	switch {
	case p == nil:
		return "", nil
	case p.Manage && email == nil:
		return "expected [email] too, by which the links go", []string{"manage"}
	case p.ReportTo != "" && !validAddress(p.ReportTo):
		return `expected one address, such as "security@example.com"`, []string{"report_to"}
	case p.ReportTo != "" && !p.Manage:
		return "expected manage = true too: nobody reports anything without it", []string{"report_to"}
	}
	if problem, key := p.ManageEmail.check(); problem != "" {
		return problem, append([]string{"manage_email"}, key...)
	}
	if problem, key := p.ChangeEmail.check(); problem != "" {
		return problem, append([]string{"change_email"}, key...)
	}
	return "", nil
}

func (c ChangeEmail) check() (problem string, key []string) {
	if c.Subject == "" || hasControl(c.Subject, "") {
		return "expected one line of text", []string{"subject"}
	}
	for _, template := range []struct {
		key, text string
		must      []string
	}{{"subject", c.Subject, nil}, {"text", c.Text, []string{"what"}}, {"html", c.HTML, []string{"what"}}} {
		parsed, err := placeholder.Parse(template.text, ChangeWords...)
		switch {
		case err != nil:
			return err.Error(), []string{template.key}
		case hasControl(template.text, "\t\r\n"):
			return "expected no control characters", []string{template.key}
		case template.text == "" && template.key == "html":
		case slices.ContainsFunc(template.must, func(word string) bool { return !parsed.Has(word) }):
			return "expected {what} in it, which says what was changed", []string{template.key}
		}
	}
	return "", nil
}
