package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/excuse"
)

// configuration reads the keys of otpgate.toml. root is the source tree's.
func configuration(root string) ([]table, error) {
	r, err := newReader(root+"/internal/config", map[string]string{
		"EmailWords": braced(config.EmailWords), "PortalWords": braced(config.PortalWords), "ChangeWords": braced(config.ChangeWords), "SMSWords": braced(config.SMSWords),
	})
	if err != nil {
		return nil, err
	}
	// Tables that are absent by default have defaults once they are there. What
	// has to be there then is taken away again.
	whole, err := config.Parse("sample", []byte("[email]\nsendmail = \"/s\"\nfrom = \"a@b\"\n[sms]\nurl = \"https://a/{otp_to}/{otp_token}\"\n[portal]\nurl = \"https://a\"\n"))
	if err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}
	whole.Email.Sendmail, whole.Email.From, whole.SMS.URL, whole.Portal.URL = "", "", "", ""
	// A machine is a client or a server, and not both.
	for _, text := range []string{"[remote]\nservers = [\"h:1\"]\nserver_keys = [\"" + config.KeyHash{}.String() + "\"]\n", "[gateway]\n", "[ledger]\netcd = [\"http://127.0.0.1:2379\"]\n"} {
		one, err := config.Parse("sample", []byte(text))
		if err != nil {
			return nil, fmt.Errorf("defaults: %w", err)
		}
		if one.Remote != nil {
			whole.Remote = one.Remote
			whole.Remote.Servers, whole.Remote.ServerKeys = nil, nil
		}
		if one.Ledger != nil {
			whole.Ledger = one.Ledger
			whole.Ledger.Etcd = nil
		}
		if one.Gateway != nil {
			whole.Gateway = one.Gateway
		}
	}
	return r.read(reflect.ValueOf(whole), "", false)
}

// secretFile reads the keys of secret files.
func secretFile(root string) ([]table, error) {
	r, err := newReader(root+"/internal/account", nil)
	if err != nil {
		return nil, err
	}
	return r.read(reflect.ValueOf(account.Person{Enabled: true}), "", false)
}

// excuses reads the keys of doctor.toml.
func excuses(root string) ([]table, error) {
	r, err := newReader(root+"/internal/doctor/excuse", nil)
	if err != nil {
		return nil, err
	}
	return r.read(reflect.ValueOf(excuse.File{}), "", false)
}

func braced(words []string) string { return "{" + strings.Join(words, "}, {") + "}" }

// tables writes the reference of a file.
func (m *manual) tables(tables []table) {
	for _, t := range tables {
		switch {
		case t.array:
			m.line(".Ss [[%s]]\\&", t.name)
		case t.name != "":
			m.line(".Ss [%s]\\&", t.name)
		}
		if t.name != "" {
			m.text(t.doc)
		}
		if len(t.groups) == 0 {
			continue
		}
		m.line(".Bl -tag -width Ds")
		for _, g := range t.groups {
			m.group(g)
		}
		m.line(".El")
	}
}

func (m *manual) group(g group) {
	var items []string
	for _, k := range g.keys {
		items = append(items, boldOn+k.name+boldOff+" ("+k.kind+")")
	}
	m.line(".It %s", escape(strings.Join(items, ", ")))
	m.text(g.doc)
	for _, k := range g.keys {
		switch {
		case strings.Contains(k.value, "\n"):
			m.line("The default of\n.Ic %s\nis", k.name)
			m.examples(strings.Trim(k.value, "\"\n"))
		case k.value != "" && len(g.keys) == 1:
			m.text("Default: " + k.value + ".")
		case k.value != "":
			m.line("Default of\n.Ic %s :", k.name)
			m.text(k.value + ".")
		}
	}
}
