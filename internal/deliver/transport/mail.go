package transport

import (
	"context"
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/placeholder"
	"github.com/otpgate/otpgate/internal/safefile"
)

// mailer is [email] with what its files hold.
type mailer struct {
	settings            *config.Email
	subject, text, html placeholder.Template
	hasHTML             bool
	name, from          string
	language            catalogue.Language // the zero one for English
	password, token     string
	// hand gives a message to the server, or to sendmail.
	hand func(ctx context.Context, message *mail.Msg) error
}

func newMailer(settings *config.Email) (*mailer, error) {
	m := &mailer{settings: settings, from: settings.From}
	if err := m.read(config.PortalEmail{Subject: settings.Subject, Text: settings.Text, HTML: settings.HTML}, config.EmailWords); err != nil {
		return nil, err
	}
	if name, rest, found := strings.Cut(settings.From, "<"); found {
		m.name, m.from = strings.TrimSpace(name), strings.TrimSuffix(rest, ">")
	}
	var err error
	if m.password, err = password("password_file", settings.PasswordFile); err != nil {
		return nil, err
	}
	if settings.TokenFile != "" {
		if m.token, err = config.ReadToken(settings.TokenFile); err != nil {
			return nil, fmt.Errorf("token_file: %w", err)
		}
	}
	if len(settings.TokenCommand) > 0 {
		if err := safefile.CheckProgram(settings.TokenCommand[0]); err != nil {
			return nil, fmt.Errorf("token_command: %w", err)
		}
	}
	if settings.Sendmail != "" {
		m.hand, err = newSendmail(settings.Sendmail, m.from)
	} else {
		m.hand, err = m.newServer()
	}
	return m, err
}

// writeFor has a message that is no code written by the templates for it.
func (m *mailer) writeFor(message deliver.Message, portal *config.Portal) error {
	switch {
	case message.Change != "" && message.Report:
		return m.read(report, config.ChangeWords)
	case message.Change != "":
		return m.readOwn(config.PortalEmail(portal.ChangeEmail), config.ChangeWords, portal.ChangeEmail.IsDefault(), message.Language, "mail-change")
	case message.Manage:
		return m.readOwn(portal.ManageEmail, config.PortalWords, portal.ManageEmail.IsDefaultManage(), message.Language, "mail-link")
	case message.Link != "":
		return m.read(portal.Email, config.PortalWords)
	}
	return nil
}

// readOwn is read for a message that may be in the language of the person: what an admin
// has written holds for everybody.
func (m *mailer) readOwn(templates config.PortalEmail, words []string, isDefault bool, tag, table string) error {
	language, err := catalogue.Find(tag)
	switch {
	case err != nil:
		return err
	case tag != language.Tag:
		return m.read(templates, words)
	}
	m.language = language
	if !isDefault {
		return m.read(templates, words)
	}
	m.subject, m.text, m.hasHTML = language.Texts[table]["subject"], language.Texts[table]["text"], false
	return nil
}

// report is for whoever looks after the machine.
var report = config.PortalEmail{
	Subject: "A login of {user} on {host} was reported",
	Text: `{what}

{user} reported this on the page for people at {time}, from {remote}: somebody
else may know that person's password and have a device or a recovery code. The
remembered logins are ended. "otpctl status {user}" on {host} shows the devices
and the last logins, "otpctl disable {user}" keeps everybody out.
`,
}

func (m *mailer) read(templates config.PortalEmail, words []string) error {
	for _, part := range []struct {
		key, text string
		template  *placeholder.Template
	}{{"subject", templates.Subject, &m.subject}, {"text", templates.Text, &m.text}, {"html", templates.HTML, &m.html}} {
		parsed, err := placeholder.Parse(part.text, words...)
		if err != nil {
			return fmt.Errorf("%s: %w", part.key, err)
		}
		*part.template = parsed
	}
	m.hasHTML = templates.HTML != ""
	return nil
}

func (m *mailer) secrets(message deliver.Message) secrets {
	var s secrets
	s.keep(message.Code, "…")
	s.keep(message.Link, "…")
	s.keep(message.Link[strings.LastIndexByte(message.Link, '/')+1:], "…")
	s.keep(m.password, "…")
	s.keep(m.token, "…")
	s.keep(message.Email, deliver.MaskEmail(message.Email))
	s.keep(message.Phone, deliver.MaskPhone(message.Phone))
	return s
}

func (m *mailer) send(ctx context.Context, message deliver.Message) error {
	letter, err := m.write(message)
	if err != nil {
		return deliver.NotSent(err)
	}
	if len(m.settings.TokenCommand) > 0 {
		if m.token, err = tokenFrom(ctx, m.settings.TokenCommand); err != nil {
			return deliver.NotSent(err)
		}
	}
	return m.hand(ctx, letter)
}

// write makes the message: plain text, and HTML beside it if there is any.
func (m *mailer) write(message deliver.Message) (*mail.Msg, error) {
	letter := mail.NewMsg(mail.WithNoDefaultUserAgent())
	from := letter.From(m.from)
	if m.name != "" {
		from = letter.FromFormat(m.name, m.from)
	}
	if from != nil {
		return nil, fmt.Errorf("from: %w", from)
	}
	if err := letter.To(message.Email); err != nil {
		return nil, fmt.Errorf("the person's email address: %w", err)
	}
	letter.SetDate()
	letter.SetMessageID()
	// Nobody's holiday notice answers this, RFC 3834 section 5.
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	values := m.values(message)
	plain := func(word string) string { return values[word] }
	// What a mail program would decode (RFC 2047) could be anything again.
	letter.Subject(strings.ReplaceAll(m.subject.Fill(plain), "=?", "= ?"))
	letter.SetBodyString(mail.TypeTextPlain, m.text.Fill(plain))
	if m.hasHTML {
		letter.AddAlternativeString(mail.TypeTextHTML, m.html.Fill(func(word string) string { return html.EscapeString(values[word]) }))
	}
	return letter, nil
}

// maxValue bounds what somebody else chose: names of hosts and the like.
const maxValue = 120

// emailValues are one line each, of characters that can be seen, so that none
// begins a header or paints over the text.
func (m *mailer) values(message deliver.Message) map[string]string {
	values := emailValues(message)
	if m.language.Tag == "" || m.language.Tag == catalogue.Usual {
		return values
	}
	values["expires"], values["time"] = m.language.Day(message.Expires, time.Local), m.language.Day(message.At, time.Local)
	return values
}

// emailValues are those in English.
func emailValues(message deliver.Message) map[string]string {
	remote := message.Remote
	if remote == "" {
		remote = "the machine itself"
	}
	values := map[string]string{
		"auth_token": message.Code, "user": message.User, "service": message.Service, "host": message.Host, "remote": remote,
		"expires": message.Expires.Local().Format("15:04:05 MST"),
	}
	if message.Link != "" { // it is good for days
		values["expires"] = message.Expires.Local().Format("Monday 2 January 2006, 15:04 MST")
	}
	values["time"] = message.At.Local().Format("Monday 2 January 2006, 15:04 MST")
	for word, value := range values {
		values[word] = deliver.Clean(value, maxValue)
	}
	values["what"] = deliver.Clean(message.Change, maxChange)
	values["link"] = deliver.Clean(message.Link, maxLink)
	return values
}
