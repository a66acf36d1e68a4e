package doctor

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// configuration reads the default configuration and those that lines in pam.d
// name.
func (e *exam) configuration() {
	e.settings = e.under(config.Default())
	path := e.configPath()
	settings, err := config.Load(path)
	if e.Config == "" && errors.Is(err, fs.ErrNotExist) {
		err = nil // the defaults hold, which Load cannot say of another root
		settings = config.Default()
	}
	if err != nil {
		e.add(e.badConfig(path, err))
		e.unread = true
	} else {
		e.settings = e.under(settings)
	}
}

// bySettings are findings that rest on what the configuration says: whom it asks, where it
// has files and the verifier's socket, which keys and protocols it names.
var bySettings = []string{"cannot-send", "key-beside-files", "key-without-spare", "ledger-moved", "ledger-not-moved", "ledger-not-noted", "log-file",
	"log-nowhere", "mail-without-session", "nobody-asked", "nobody-enrolled", "no-clients", "nothing-to-send-with", "openvpn-renegotiates", "people-elsewhere",
	"protocol-unknown", "root-exempt", "secret-files-elsewhere", "secret-unreadable", "secrets-plain", "sender-missing", "sshd-no-password", "su-root-unasked",
	"sudo-asks-for-root", "sudo-not-asked", "users-directory", "verifier-kept-in", "verifier-needed", "verifier-not-allowed", "verifier-not-listening", "verifier-stale"}

// certain leaves out what rests on the defaults where the configuration cannot be read:
// once that is mended it may say otherwise.
func (e *exam) certain(findings []finding.Finding) []finding.Finding {
	if !e.unread {
		return findings
	}
	subjects := []string{"client-", "gateway-", "page-", "self-service-", "sftp-", "state-"}
	return slices.DeleteFunc(findings, func(f finding.Finding) bool {
		ownProtocol := f.ID == "argument" && strings.Contains(f.What, `"protocol=`)
		return ownProtocol || slices.Contains(bySettings, f.ID) || slices.ContainsFunc(subjects, func(s string) bool { return strings.HasPrefix(f.ID, s) })
	})
}

// otherConfigs reads those that lines in pam.d name instead.
func (e *exam) otherConfigs() {
	looked := map[string]bool{e.configPath(): true}
	for _, s := range e.stacks {
		for _, i := range s.Ours() {
			line := s.Lines[i]
			path := e.Machine.Root + line.Arg("config")
			if line.Arg("config") == "" {
				continue
			}
			settings, err := config.Load(path)
			if err != nil && !looked[path] {
				f := e.badConfig(path, err)
				f.Services = []string{s.Service}
				f.Follows = line.Position.String() + " names it, so every login through that line is denied."
				e.add(f)
			}
			looked[path] = true
			if f, wrong := s.WrongProtocol(i, settings.Policy.OwnProtocols); err == nil && wrong {
				f.Services = []string{s.Service}
				e.add(f)
			}
		}
	}
}

func (e *exam) configPath() string {
	if e.Config == "" {
		return e.Machine.Root + config.DefaultPath
	}
	return e.Config
}

// under puts the root before the paths of a tree that is no machine.
func (e *exam) under(settings config.Config) config.Config {
	for _, path := range []*string{&settings.Paths.Users, &settings.Paths.State, &settings.Paths.Socket, &settings.Paths.BreakGlass} {
		*path = e.Machine.Root + *path
	}
	settings.Secrets.Keys = slices.Clone(settings.Secrets.Keys)
	for i := range settings.Secrets.Keys {
		settings.Secrets.Keys[i] = e.Machine.Root + settings.Secrets.Keys[i]
	}
	if settings.Remote != nil {
		remote := *settings.Remote
		remote.Key = e.Machine.Root + remote.Key
		settings.Remote = &remote
	}
	if settings.Gateway != nil {
		gateway := *settings.Gateway
		gateway.Key, gateway.Clients = e.Machine.Root+gateway.Key, e.Machine.Root+gateway.Clients
		settings.Gateway = &gateway
	}
	if settings.Ledger != nil {
		ledger := *settings.Ledger
		for _, path := range []*string{&ledger.CAFile, &ledger.CertificateFile, &ledger.KeyFile} {
			if *path != "" {
				*path = e.Machine.Root + *path
			}
		}
		ledger.Socket = e.Machine.Root + ledger.Socket
		settings.Ledger = &ledger
	}
	return settings
}

func (e *exam) badConfig(path string, err error) finding.Finding {
	f := finding.Finding{Severity: finding.Error, ID: "config", File: path, What: finding.Unplaced(path, err) + ".",
		Follows: "Every login through the module is denied.", Fix: "Correct it; otpctl test USER --service sshd reads the same file."}
	f.Line = finding.LineIn(path, err)
	return f
}
