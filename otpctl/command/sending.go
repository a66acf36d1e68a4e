package command

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
)

// remarkOnCore says if logins could not send what this command can: it sends by
// itself, a forked core by a command of its own.
func (a *app) remarkOnCore(settings config.Config) {
	if settings.Email == nil && settings.SMS == nil {
		return
	}
	err := deliver.Program{Path: settings.Paths.Sender}.Check()
	if err == nil {
		return
	}
	a.note("logins that fork a core cannot send codes: %v", err)
	if settings.Paths.Sender == "" || errors.Is(err, fs.ErrNotExist) {
		a.note("make install puts it into PREFIX/libexec/otpgate; another place than below /usr/local or /usr is named by paths.sender")
	}
}

// remarkOnSending says what would keep a login from sending a code.
func (a *app) remarkOnSending(settings config.Config, sender deliver.Sender) {
	a.remarkOnCore(settings)
	if broken, is := sender.(deliver.Broken); is {
		a.note("no code can be sent: %v", broken.Err)
	}
}

// remarkOnChannels says which of the kinds of factors nothing is set up for.
func (a *app) remarkOnChannels(settings config.Config, kinds ...account.Kind) {
	if a.Sender != nil {
		return
	}
	if settings.Email == nil && slices.Contains(kinds, account.Email) {
		a.note("no code can be sent by email: expected [email] in the configuration")
	}
	if settings.SMS == nil && slices.Contains(kinds, account.SMS) {
		a.note("no code can be sent by sms: expected [sms] in the configuration")
	}
}

// remarkOnChannelsOf does so for the factors of a person.
func (a *app) remarkOnChannelsOf(g admin.People, name string) {
	person, err := g.Accounts.Load(name)
	if err != nil {
		return // the login is what says so
	}
	var kinds []account.Kind
	for _, f := range person.Confirmed() {
		kinds = append(kinds, f.Kind)
	}
	a.remarkOnChannels(g.Config, kinds...)
}

// remarkOnKind says that an address has nothing to do with logins, or less than
// one may think.
func (a *app) remarkOnKind(settings config.Config, person account.Person, kind account.Kind) {
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
	a.note("%s has no confirmed factor of kind %s, so logins send %s: %s enroll %s --kind %s",
		person.User, kind, sent, a.self(), person.User, kind)
}
