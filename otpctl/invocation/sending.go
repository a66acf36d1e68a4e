package invocation

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
)

// RemarkOnCore says if logins could not send what this command can: it sends by
// itself, a forked core by a command of its own.
func (a *App) RemarkOnCore(settings config.Config) {
	if settings.Email == nil && settings.SMS == nil {
		return
	}
	err := deliver.Program{Path: settings.Paths.Sender}.Check()
	if err == nil {
		return
	}
	a.Note("logins that fork a core cannot send codes: %v", err)
	if settings.Paths.Sender == "" || errors.Is(err, fs.ErrNotExist) {
		a.Note("make install puts it into PREFIX/libexec/otpgate; name a place that is not below /usr/local or /usr in paths.sender")
	}
}

// RemarkOnSending says what would keep a login from sending a code.
func (a *App) RemarkOnSending(settings config.Config, sender deliver.Sender) {
	a.RemarkOnCore(settings)
	if broken, ok := sender.(deliver.Broken); ok {
		a.Note("no code can be sent: %v", broken.Err)
	}
}

// RemarkOnChannels says which of the kinds of factors nothing is set up for.
func (a *App) RemarkOnChannels(settings config.Config, kinds ...account.Kind) {
	if a.Sender != nil {
		return
	}
	if settings.Email == nil && slices.Contains(kinds, account.Email) {
		a.Note("no code can be sent by email: expected [email] in the configuration")
	}
	if settings.SMS == nil && slices.Contains(kinds, account.SMS) {
		a.Note("no code can be sent by sms: expected [sms] in the configuration")
	}
}

// RemarkOnChannelsOf does so for the factors of a person.
func (a *App) RemarkOnChannelsOf(g admin.People, name string) {
	person, err := g.Accounts.Load(name)
	if err != nil {
		return // the login is what says so
	}
	var kinds []account.Kind
	for _, f := range person.Confirmed() {
		kinds = append(kinds, f.Kind)
	}
	a.RemarkOnChannels(g.Config, kinds...)
}

// RemarkOnKind says that an address has nothing to do with logins, or less than
// one may think.
func (a *App) RemarkOnKind(settings config.Config, person account.Person, kind account.Kind) {
	has := func(kind account.Kind) bool {
		return slices.ContainsFunc(person.Confirmed(), func(f account.Factor) bool { return f.Kind == kind })
	}
	if has(kind) {
		return
	}
	sent := "nothing there"
	if kind == account.Email && settings.Email != nil && has(account.SMS) && person.EmailInstead() {
		sent = "there only what fails as a text message"
	}
	a.Note("%s has no confirmed factor of kind %s, so logins send %s: %s enroll %s --kind %s",
		person.User, kind, sent, a.Self(), person.User, kind)
}
