package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
)

// write writes a file that its owner alone can read, and the directories that
// it needs.
func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

func service(name, line string) error {
	return write(filepath.Join(confdir, name), "auth required "+line+"\n")
}

// model is the secret file of somebody called by that name, as otpctl leaves
// it: one app, and recovery codes.
type model struct{ text string }

const modelName = "somebody"

func newModel(scratch string) (model, error) {
	dir, err := account.Create(scratch)
	if err != nil {
		return model{}, err
	}
	defer dir.Close()
	err = dir.Change(modelName, func(p *account.Person) error {
		_, p.Recovery = factor.NewRecovery(modelName)
		p.Factors = []account.Factor{{
			ID: "phone", Kind: account.TOTP, Secret: secret(modelName), Digits: 6, Period: period, Algorithm: "SHA1",
			Confirmed: time.Now().UTC().Truncate(time.Second),
		}}
		return nil
	})
	if err != nil {
		return model{}, err
	}
	text, err := os.ReadFile(dir.Path(modelName))
	return model{string(text)}, err
}

// of makes the model the secret file of the person called name.
func (m model) of(name string) string {
	return strings.NewReplacer(modelName, name, secret32(modelName), secret32(name),
		account.BindingOf(modelName), account.BindingOf(name)).Replace(m.text)
}

// configOf is where the configuration of a site is.
func configOf(site string) string { return filepath.Join(sites, site, "otpgate.toml") }

// socketOf is where the verifier of a site listens.
func socketOf(site string) string { return filepath.Join(sockets, site) }

// otpgateSite writes a configuration with directories of its own, and a PAM
// service that uses it through the core in the directory of that name.
func otpgateSite(name, core, state string) (users string, err error) {
	dir := filepath.Join(sites, name)
	users = filepath.Join(dir, "users")
	for _, made := range []string{users, state} {
		if err := os.MkdirAll(made, 0o700); err != nil {
			return "", err
		}
	}
	text := fmt.Sprintf("[paths]\nusers = %q\nstate = %q\nsocket = %q\n", users, state, socketOf(name))
	if err := write(configOf(name), text); err != nil {
		return "", err
	}
	return users, service(name, fmt.Sprintf("%s/%s/pam_otpgate.so verifier=off config=%s", disk, core, configOf(name)))
}

// otpgateAlone makes n people, each the only one of a site. state, with the
// site's name for %s, is where the ledger is.
func otpgateAlone(label, core, state string, n int, m model) (*side, error) {
	s := &side{label: label, every: 1}
	where := "disk"
	if strings.HasPrefix(state, memory) {
		where = "memory"
	}
	for i := range n {
		name := fmt.Sprintf("%s-%s-%d", core, where, i)
		users, err := otpgateSite(name, core, fmt.Sprintf(state, name))
		if err != nil {
			return nil, err
		}
		if err := write(filepath.Join(users, "alone.toml"), m.of("alone")); err != nil {
			return nil, err
		}
		s.people = append(s.people, &person{service: name, name: "alone"})
	}
	return s, nil
}

// googleFile is what google-authenticator --disallow-reuse --rate-limit=3
// --rate-time=30 writes, with five emergency codes as it makes by default.
const googleFile = "%s\n\" RATE_LIMIT 3 30\n\" WINDOW_SIZE 3\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n" +
	"10000001\n20000002\n30000003\n40000004\n50000005\n"

func google(name string, n int) (*side, error) {
	s := &side{label: "pam_google_authenticator", every: 1}
	dir := sites + "/google"
	for i := range n {
		user := fmt.Sprintf("%s%d", name, i)
		if err := write(filepath.Join(dir, user), fmt.Sprintf(googleFile, secret32(user))); err != nil {
			return nil, err
		}
		s.people = append(s.people, &person{service: "google", name: user})
	}
	return s, service("google", "pam_google_authenticator.so user=root secret="+dir+"/${USER}")
}

// oath makes files of pam_oath's with crowd people each, of which n in all log
// in.
func oath(crowd, n, every int) (*side, error) {
	s := &side{label: "pam_oath", every: every}
	for file := 0; len(s.people) < n; file++ {
		name := fmt.Sprintf("oath-%d-%d", crowd, file)
		path := filepath.Join(sites, "oath", name)
		var lines strings.Builder
		// Those who log in stand evenly between the others: the module reads
		// up to the person's line.
		stride := max(1, crowd/n)
		for i := range crowd {
			user := fmt.Sprintf("p%d", i)
			fmt.Fprintf(&lines, "HOTP/T30\t%s\t-\t%s\n", user, hex.EncodeToString(secret(user)))
			if i%stride == stride/2 && len(s.people) < n {
				s.people = append(s.people, &person{service: name, name: user})
			}
		}
		if err := write(path, lines.String()); err != nil {
			return nil, err
		}
		if err := service(name, "pam_oath.so window=1 digits=6 usersfile="+path); err != nil {
			return nil, err
		}
	}
	return s, nil
}
