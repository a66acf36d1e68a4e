package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/usercert"
)

// sftp looks at what the SFTP server does with its settings at a login alone.
// What it cannot start with it says itself.
func (e *exam) sftp() {
	settings := e.settings.SFTP
	if len(e.Services) > 0 && !slices.Contains(e.Services, settings.PAMService) {
		return
	}
	path := e.configPath()
	data, _ := target.Read("", path)
	if len(e.Services) > 0 {
		e.add(e.offered())
	}
	e.oldHostKeys()
	if len(settings.CodeAfter) == 0 {
		e.add(finding.Finding{Severity: finding.Warning, ID: "sftp-never-asks", File: path, Line: finding.LineOf(data, "code_after"), What: "sftp.code_after is empty.",
			Follows: "otpgate-sftpd asks nobody for a code.", Fix: `Write code_after = ["password", "publickey"], or take it out.`})
	}
	e.keysCommand(path, data)
	e.keyLists(path, data)
	e.sftpProxies(path, data)
	root := common(settings.Root)
	if root == "" {
		return
	}
	dir, err := safefile.OpenDir(e.Machine.Root + root)
	if err == nil {
		_ = dir.Close()
		return
	}
	fix := "It and all above it must belong to root and be writable for nobody else."
	if errors.Is(err, fs.ErrNotExist) {
		fix = "Make it: install -d -m 755 " + root
	}
	e.add(finding.Finding{Severity: finding.Error, ID: "sftp-root", File: path, Line: finding.LineOf(data, "root"), What: "sftp.root: " + err.Error() + ".",
		Follows: "otpgate-sftpd lets nobody in.", Fix: fix})
}

// oldHostKeys looks for a server that keeps to the one host key that it had
// before it made others too.
func (e *exam) oldHostKeys() {
	settings := e.settings.SFTP
	if settings.HostKeysNamed {
		return
	}
	var ecdsa string
	for _, path := range settings.HostKeys {
		name := filepath.Base(path)
		if name == "ssh_host_ecdsa_key" {
			ecdsa = path
		}
		if _, err := os.Lstat(e.Machine.Root + path); (err == nil) != (name == "ssh_host_ed25519_key") {
			return
		}
	}
	e.add(finding.Finding{Severity: finding.Note, ID: "sftp-host-keys", What: "otpgate-sftpd has an ed25519 host key and no other, as it was made before others were.",
		Follows: "Clients that do not know ed25519 cannot connect. Others are not made by themselves, as rclone and other programs in Go prefer them to the one that they know.",
		Fix: "If there are such clients: ssh-keygen -q -t ecdsa -N '' -f " + ecdsa + " and systemctl reload otpgate-sftpd, which makes an RSA key then. " +
			"Add both to the known_hosts of programs in Go."})
}

// hostKeySignatures are those of the host keys that can be read.
func (e *exam) hostKeySignatures() (all []string) {
	for _, path := range e.settings.SFTP.HostKeys {
		text, err := safefile.Read(e.Machine.Root+path, safefile.Rules{Forbidden: 0o077, MaxSize: 64 << 10})
		if err != nil {
			continue
		}
		if key, err := ssh.ParsePrivateKey(text); err == nil {
			all = append(all, algorithms.HostKeySignatures(key.PublicKey().Type())...)
		}
	}
	return all
}

// keysCommand looks whether the command that prints people's keys would be run.
func (e *exam) keysCommand(path string, data []byte) {
	settings := e.settings.SFTP
	if len(settings.KeysCommand) == 0 {
		return
	}
	f := finding.Finding{Severity: finding.Error, ID: "sftp-keys-command", File: path, Follows: "otpgate-sftpd does not run the command, and lets nobody in by a key that it would print."}
	if err := safefile.CheckProgram(e.Machine.Root + settings.KeysCommand[0]); err != nil {
		f.Line, f.What = finding.LineOf(data, "keys_command"), "sftp.keys_command: "+err.Error()+"."
		f.Fix = "Name a program that is there; it and all above it must belong to root and be writable for nobody else."
		e.add(f)
	}
	name := settings.KeysCommandUser
	known, err := e.Machine.UserKnown(name)
	if err == nil && known {
		return
	}
	f.Line, f.What, f.Fix = finding.LineOf(data, "keys_command_user"), "sftp.keys_command_user: there is no user "+name+".", "Make one: useradd -r "+name
	if err != nil {
		f.What, f.Fix = "sftp.keys_command_user: "+name+" cannot be looked up: "+err.Error()+".", "Look at the name service, or name a user of /etc/passwd."
	}
	e.add(f)
}

// keyLists looks at files of keys as the server reads them at each login by a key.
func (e *exam) keyLists(path string, data []byte) {
	for _, list := range []struct{ key, file, follows string }{
		{"revoked_keys", e.settings.SFTP.RevokedKeys, "otpgate-sftpd lets nobody in by a key: each might be revoked there."},
		{"trusted_user_ca_keys", e.settings.SFTP.TrustedUserCAKeys, "otpgate-sftpd lets nobody in by a certificate."},
	} {
		if list.file == "" {
			continue
		}
		const most = 4 << 20 // as the server
		text, err := safefile.Read(e.Machine.Root+list.file, safefile.Rules{Forbidden: 0o022, MaxSize: most})
		if err == nil {
			_, err = usercert.List(text)
		}
		if err == nil {
			continue
		}
		f := finding.Finding{Severity: finding.Error, ID: "sftp-key-list", File: path, Line: finding.LineOf(data, list.key),
			What:    "sftp." + list.key + ": " + list.file + ": " + strings.TrimPrefix(err.Error(), e.Machine.Root+list.file+": ") + ".",
			Follows: list.follows, Fix: "Correct it: public keys without options, one a line, in a file of root's that nobody else can write."}
		e.add(f)
	}
}

// sftpProxies finds that others than a proxy may say where people come from, where the
// policy goes by that.
func (e *exam) sftpProxies(path string, data []byte) {
	policy := e.settings.Policy
	remembered := policy.SessionFor("sftp") > 0
	if len(policy.TrustedNetworks) == 0 && !remembered {
		return
	}
	follows := "Whoever has a password or a key may claim an address of policy.trusted_networks, and gets in without a code."
	if len(policy.TrustedNetworks) == 0 {
		follows = "Whoever has a password or a key may claim the address of a login that is remembered, and gets in without a code."
	}
	for _, proxy := range e.settings.SFTP.ProxyProtocol {
		who := ""
		switch {
		case proxy.Addr().IsLoopback():
			who = "every user of this machine, and whoever has a tunnel to it,"
		case proxy.Addr().BitLen()-proxy.Bits() > 8:
			who = "each of its more than 256 addresses"
		default:
			continue
		}
		e.add(finding.Finding{Severity: finding.Warning, ID: "sftp-proxies", File: path, Line: finding.LineOf(data, "proxy_protocol"),
			What:    "sftp.proxy_protocol names " + strings.TrimSuffix(strings.TrimSuffix(proxy.String(), "/32"), "/128") + ": " + who + " is believed about where somebody comes from.",
			Follows: follows,
			Fix:     "Have the proxy on a host of its own and name its address alone. Or take policy.trusted_networks and sessions out for sftp."})
	}
}

// offered says what clients of the server must know one of each of.
func (e *exam) offered() finding.Finding {
	signatures := "signatures of the host keys that it has: "
	own := e.hostKeySignatures()
	if own == nil {
		signatures, own = "signatures of those host keys that it will have, of: ", algorithms.AllHostKeySignatures()
	}
	list := func(names []string) string { return strings.Join(names, ", ") }
	return finding.Finding{Severity: finding.Note, ID: "sftp-algorithms",
		What: "otpgate-sftpd offers the key exchanges " + list(algorithms.KeyExchanges()) + "; the ciphers " + list(algorithms.Ciphers()) +
			"; the MACs " + list(algorithms.MACs()) + "; " + signatures + list(own) +
			". It takes users' signatures " + list(algorithms.UserSignatures()) + ".",
		Follows: "A client that lacks one of each cannot connect, and a user's DSA key, or RSA with SHA-1, lets nobody in.",
		Fix:     "Nothing is to be done; update such clients, and give their users ed25519 keys."}
}

// common is the directory that sftp.root has for everybody: above the first
// part that is a person's own. "" is none that is known.
func common(root string) string {
	before, _, own := strings.Cut(root, "%")
	if !own {
		return root
	}
	if dir := filepath.Dir(before + "x"); filepath.IsAbs(dir) {
		return dir
	}
	return ""
}
