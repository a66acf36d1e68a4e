package withoutcode

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
)

// way is whom a service lets in.
type way uint8

const (
	unknown way = iota
	// fromTheNetwork lets in strangers.
	fromTheNetwork
	// locally lets somebody in at the machine itself, or become somebody else.
	locally
	// none lets nobody in: it changes accounts, runs what was set up before, or is
	// there to be included.
	none
)

func names(text string) map[string]way {
	set := map[string]way{}
	for line := range strings.Lines(text) {
		kind, list, _ := strings.Cut(line, ":")
		for name := range strings.FieldsSeq(list) {
			set[name] = map[string]way{"network": fromTheNetwork, "local": locally, "none": none}[kind]
		}
	}
	return set
}

// known are services of the distributions by name.
var known = names(`network: sshd ssh dropbear vsftpd proftpd pure-ftpd ftp ftpd cockpit xrdp-sesman vnc vncserver x11vnc rexec rlogin rsh telnet
network: dovecot imap imaps imap4 pop pop3 pop3s submission smtp smtps sieve cyrus courier exim exim4 postfix mail
network: openvpn ocserv strongswan charon radiusd freeradius apache apache2 httpd nginx lighttpd webmin usermin
network: netatalk ejabberd prosody xmpp jupyterhub rstudio x2go postgresql mysql mariadb mosquitto
local: login remote su su-l sudo sudo-i doas polkit-1 systemd-run0 kde sddm gdm gdm-password gdm3 lightdm lxdm xdm wdm slim greetd ly cosmic-greeter vmtoolsd
none: other passwd chpasswd chgpasswd chfn chsh chage newusers useradd userdel usermod groupadd groupdel groupmod groupmems
none: cron crond atd at anacron runuser runuser-l systemd-user sssd-shadowutils gdm-launch-environment gdm-autologin lightdm-greeter lightdm-autologin sddm-greeter sddm-autologin
none: system-auth password-auth postlogin fingerprint-auth smartcard-auth system-login system-local-login system-remote-login system-services
none: common-auth common-account common-password common-session common-session-noninteractive base-auth base-account base-password base-session base-session-noninteractive
none: system-auth-ac password-auth-ac postlogin-ac fingerprint-auth-ac smartcard-auth-ac common-auth-pc common-account-pc common-password-pc common-session-pc
`)

// networked and local are protocols that say so of services of any name.
var (
	networked = []config.Protocol{"ssh", "sftp", "ftp", "ftps", "http", "https", "webdav"}
	local     = []config.Protocol{"sudo", "su", "login"}
)

func wayOf(s authstack.Stack) way {
	w, found := known[s.Service]
	switch {
	case found:
		return w
	case known[before(s.Service)] == fromTheNetwork, slices.Contains(networked, s.Protocol) || slices.Contains(authstack.MailServices, s.Service):
		return fromTheNetwork
	case slices.Contains(local, s.Protocol):
		return locally
	}
	return unknown
}

// before is the name of the program in that of a service which one of several instances
// of it asks for: sshd-admins, vsftpd_guests, dovecot2.
func before(service string) string {
	if at := strings.IndexAny(service, "-_@."); at > 0 {
		return service[:at]
	}
	return strings.TrimRight(service, "0123456789")
}

// Local says whether a service is of the console, or one by which people become
// somebody else.
func Local(s authstack.Stack) bool { return wayOf(s) == locally }
