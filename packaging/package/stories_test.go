package packages_test

import (
	"strings"

	"github.com/otpgate/otpgate/e2e/machine"
)

// Why a command line is not run as it is.
const (
	noSystemd = "systemd is not process 1 here; this asks it to do the same to the files of a machine that does not run"
	noGo      = "the Debian has no Go and no network to get it by; this machine builds, and installs into the Debian"
	noNetwork = "there is no network to get etcd by; ledgerd TestSetUpAsWritten starts this machine's"
	notRHEL   = "it is of RHEL's, of which there is none here"
)

// doctors are exit statuses of otpctl doctor that are no error: the clock of
// the machine that runs the tests may be nobody's to keep.
var doctors = []int{3}

const enableLedger = "systemctl enable --now otpgate-ledgerd.socket"

const enablePage = "systemctl enable --now otpgate-portal.socket"

var asksForPage = handling{instead: "systemctl --root=/ enable otpgate-portal.socket", why: noSystemd, says: "Created symlink"}

var installed = handling{outside: "make --no-print-directory install DESTDIR=ROOT", why: noGo}

var startSSHD = "/usr/sbin/sshd -D -e -o PidFile=none"

var stories = []story{
	{
		document: "README.md", to: "make demo",
		begin: func(r *run) {
			r.hostname("server")
			r.must("cp packaging/examples/10-otpgate.conf /etc/ssh/sshd_config.d/ && mkdir -p /run/sshd && otpctl pam enable sshd --confirm-within 0s --force")
			r.start(startSSHD, "bash -c '</dev/tcp/127.0.0.1/22'")
		},
		lines: map[string]handling{
			// The first time with the next code, and then with that again, until
			// the person gives up.
			"ssh alice@server": {
				code: func(r *run) string {
					if r.steps == 1 {
						return r.next()
					}
					return r.last
				},
				statuses: []int{255},
			},
		},
	},
	{
		document: "README.md", from: "make demo",
		lines: map[string]handling{
			"make demo": {
				outside: "env -u OTPGATE_MACHINE_STAGE -u OTPGATE_MACHINE_FILES TMPDIR=/tmp OTPGATE_BUILD=$PWD/build " + machine.Files + "/demo",
				why:     "make looks for packages of the machine first; this is what it then shows"},
			"make test": {outside: "make --dry-run test >/dev/null", why: "it is what runs this"},
			"make packages && dpkg -i build/packages/*.deb": {
				instead: "dpkg -i build/packages/*.deb", why: "make test has run make packages just before this; " + noGo},
			"make install":                     installed,
			"otpctl test alice --protocol ssh": {says: `alice by \w+ is asked for a code`},
			"sshd -T | grep -E 'usepam|passwordauth|kbdinteractiveauth'": {says: `(?s)usepam yes.*passwordauthentication no.*kbdinteractiveauthentication yes`},
			"journalctl -t otpgate": {says: "No journal|No entries"},
		},
	},
	{
		document: "docs/administration.md", to: "cat people.csv",
		begin: func(r *run) {
			r.must("otpctl enroll alice --json && otpctl enroll bob --json")
			r.must(`printf '[policy]\nsession = "1h"\n' >>/etc/otpgate/otpgate.toml`)
		},
		lines: map[string]handling{
			"otpctl disable --group interns --dry-run": {says: `bob`},
		},
	},
	{
		document: "docs/administration.md", from: "cat people.csv",
		lines: map[string]handling{
			"cat people.csv": {before: func(r *run) {
				r.chdir("/root")
				r.write(r.T, "/root/people.csv", r.shown("docs/administration.md", "cat people.csv"))
			}},
		},
	},
	{
		document: "docs/doctor.md",
		begin: func(r *run) {
			r.enrolled()
			r.must("cp packaging/examples/10-otpgate.conf /etc/ssh/sshd_config.d/ && otpctl pam enable sshd --confirm-within 0s --force")
			// The files of the drawing: comments aside they are Debian's.
			r.must("sed -i '/^#/d; /^$/d' /etc/pam.d/common-auth && printf '#\nauth required pam_otpgate.so\n@include common-auth\n' >/dev/null")
			r.write(r.T, "/etc/pam.d/sudo", "@include common-auth\nauth required pam_otpgate.so\n@include common-account\n")
		},
		lines: map[string]handling{
			"otpctl doctor":                                {statuses: doctors},
			"otpctl doctor --service sshd":                 {statuses: doctors},
			"otpctl doctor --json --ignore sshd-key-alone": {statuses: doctors, says: `"findings"`},
			"otpctl doctor --service sudo":                 {statuses: doctors},
		},
	},
	{
		document: "docs/invitations.md",
		begin: func(r *run) {
			r.must(`printf '#!/bin/sh\ncat >>/root/mails\n' >/usr/local/sbin/mailer && chmod 755 /usr/local/sbin/mailer`)
			r.must(`printf '[portal]\nurl = "https://otp.example.com"\n[email]\nsendmail = "/usr/local/sbin/mailer"\nfrom = "otpgate@example.com"\n' >>/etc/otpgate/otpgate.toml`)
		},
		lines: map[string]handling{
			"otpctl invite alice --email alice@example.com": {says: `alice: invited`, after: func(r *run) { r.must("grep -F https://otp.example.com/l/ /root/mails") }},
			"otpctl invite bob --print":                     {says: `bob: https://otp.example.com/l/`},
			"otpctl invite list":                            {says: `(?s)alice +ready.*bob +ready`},
			"otpctl invite cancel bob":                      {says: `1 invitation is cancelled`},
			"otpctl invite remind --dry-run":                {},
			enablePage:                                      asksForPage,
			"systemctl enable --now otpgate-remind.timer":   {instead: "systemctl --root=/ enable otpgate-remind.timer", why: noSystemd, says: "Created symlink"},
			"systemctl enable --now otpgate-verifierd-portal.socket": {
				instead: "systemctl --root=/ enable otpgate-verifierd-portal.socket", why: noSystemd, says: "Created symlink"},
		},
	},
	{
		document: "docs/lost-phone.md",
		begin:    (*run).enrolled,
		lines: map[string]handling{
			"otpctl status alice":            {says: `phone`},
			"otpctl recovery alice":          {says: `(?m)^ *[0-9a-z]+-`},
			"otpctl remove alice --id phone": {},
		},
	},
	{
		document: "docs/monitoring.md",
		begin: func(r *run) {
			r.enrolled()
			r.must("cp packaging/examples/10-otpgate.conf /etc/ssh/sshd_config.d/ && otpctl pam enable sshd --confirm-within 0s --force")
		},
		lines: map[string]handling{
			"systemctl enable --now otpgate-doctor.timer": {instead: "systemctl --root=/ enable otpgate-doctor.timer", why: noSystemd, says: "Created symlink"},
			"ln -s /var/lib/otpgate-doctor/doctor.prom /var/lib/prometheus/node-exporter/otpgate-doctor.prom": {
				before: func(r *run) { r.must("mkdir -p /var/lib/prometheus/node-exporter") },
				after: func(r *run) {
					r.must("grep otpgate_doctor_findings /var/lib/prometheus/node-exporter/otpgate-doctor.prom")
				},
			},
			"otpctl doctor --log --metrics /var/lib/otpgate-doctor/doctor.prom": {statuses: doctors, after: func(r *run) {
				r.must("grep -F 'otpgate_doctor_findings{severity=\"error\"} 0' /var/lib/otpgate-doctor/doctor.prom")
			}},
		},
	},
	{
		document: "docs/moving-over.md",
		begin: func(r *run) {
			r.chdir("/root")
			r.write(r.T, "/home/alice/.google_authenticator", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n\" TOTP_AUTH\n12345678\n")
			r.must("chown alice: /home/alice/.google_authenticator && chmod 400 /home/alice/.google_authenticator")
			r.write(r.T, "/etc/users.oath", "HOTP/T30/6 bob - 3132333435363738393031323334353637383931\n")
			r.must("chmod 600 /etc/users.oath")
		},
		lines: importsIn(ofTheDocument, map[string]handling{
			"otpctl list": {says: `alice`},
			"otpctl export --recipient age1… --out /root/people.age": {
				fill: func(r *run) (string, string) {
					return "age1…", strings.TrimSpace(r.must("age-keygen -y key.txt"))
				},
			},
			"otpctl import backup people.age --identity key.txt": {before: func(r *run) { r.must("rm -r /etc/otpgate/users/* /var/lib/otpgate/*") }, says: `alice`},
		}),
	},
	{
		document: "docs/packages.md",
		lines: map[string]handling{
			"/usr/share/otpgate/authselect/create-profile": {instead: "sh -n packaging/package/authselect/create-profile", why: notRHEL},
			"authselect current":                           {instead: "ls packaging/package/authselect", why: notRHEL + "; what it would choose from is there", says: "stack"},
			"authselect select custom/otpgate with-otpgate with-faillock": {
				instead: "grep with-otpgate packaging/package/authselect/stack && grep with-faillock packaging/package/authselect/stack",
				why:     notRHEL + "; both features are in the stack, which TestAuthselect expands and runs"},
			"dnf install selinux-policy-devel":           {outside: "test -e /usr/share/selinux/devel/Makefile", why: notRHEL + "; this is what the package brings, and Debian's selinux-policy-dev too"},
			"make -C /usr/share/otpgate/selinux install": {outside: "make -n -C packaging/package/selinux install >/dev/null", why: notRHEL + "; TestSELinuxCompiles makes it"},
		},
	},
	{
		document: "docs/recipes.md",
		begin: func(r *run) {
			r.enrolled()
			r.must("cp packaging/examples/10-otpgate.conf /etc/ssh/sshd_config.d/")
		},
		lines: map[string]handling{
			"systemctl enable --now otpgate-verifierd.socket": {instead: "systemctl --root=/ enable otpgate-verifierd.socket", why: noSystemd, says: "Created symlink"},
			"otpctl pam enable sshd":                          {says: "is changed"},
			"otpctl doctor --service sshd":                    {statuses: doctors},
			"otpctl test alice --service sudo":                {says: `alice by \w+ is asked for a code`},
			"otpctl pam enable doas": {before: func(r *run) {
				r.write(r.T, "/etc/pam.d/doas", "session required pam_limits.so\n@include common-auth\n@include common-account\n@include common-session-noninteractive\n")
			}, says: "is changed"},
			"otpctl pam enable cockpit --argument protocol=login": {before: func(r *run) {
				r.write(r.T, "/etc/pam.d/cockpit", "auth substack common-auth\nauth optional pam_ssh_add.so\naccount include common-account\n")
			}, says: "otpgate was: auth substack common-auth"},
			"otpctl pam enable polkit-1": {says: "a copy of /usr/lib/pam.d/polkit-1"},
			"otpctl pam enable my-locker --split": {before: func(r *run) {
				r.write(r.T, "/etc/pam.d/my-locker", "@include common-auth\n@include common-account\n")
			}, says: "is changed"},
		},
	},
	{
		document: "docs/roll-out.md", to: "otpctl pam confirm sshd",
		begin: func(r *run) { r.must("cp packaging/examples/10-otpgate.conf /etc/ssh/sshd_config.d/") },
		lines: map[string]handling{
			"otpctl test alice --protocol ssh": {says: `alice by \w+ is asked for a code`},
			"otpctl test root --protocol ssh":  {says: `root by ssh is let in without a code`},
			"otpctl test alice --service sshd": {says: `alice by \w+ is asked for a code`},
			"otpctl list":                      {says: `alice`},
			"otpctl pam enable sshd":           {says: "(?s)the right code gets in.*Otherwise"},
		},
	},
	{
		document: "docs/roll-out.md", from: "otpctl pam confirm sshd",
		begin: func(r *run) { r.enrolled(); r.pamEnabled() },
		lines: map[string]handling{
			"ansible-playbook -i hosts -e @vars.yml packaging/ansible/otpgate.yml": {
				outside: "ansible-playbook --syntax-check -i otpgate, packaging/ansible/otpgate.yml", why: "the Debian has neither Ansible nor Python; TestPlaybook plays it"},
			"otpctl pam restore sshd": {before: (*run).again, says: "as it was before"},
			"otpctl pam confirm sshd": {before: func(r *run) {
				r.pending()
				r.expectIn(r.T, r.next())
			}, says: "the change stays"},
			"otpctl pam disable sshd": {before: func(r *run) {
				r.again()
				r.must("setsid -w otpctl pam confirm sshd --untried && rm /etc/pam.d/sshd.before-*")
			}, says: "-auth required pam_otpgate.so"},
		},
	},
	{
		document: "docs/secrets.md",
		begin: func(r *run) {
			r.enrolled()
			r.chdir("/root")
			r.must("age-keygen -o key.txt")
		},
		lines: map[string]handling{
			"otpctl secrets init /var/lib/otpgate-keys/first --spare age1... --out /root/spare.age": {
				fill: recipient, says: `has the key [0-9a-f]{8}`, after: func(r *run) { r.encryptingWith("/var/lib/otpgate-keys/first") }},
			"otpctl secrets encrypt --dry-run": {says: `1 secret of 1 person would be encrypted`},
			"otpctl secrets encrypt":           {says: `1 secret of 1 person encrypted`},
			"systemctl enable --now otpgate-secrets.service": {
				instead: "systemctl --root=/ enable otpgate-secrets.service", why: noSystemd, says: "Created symlink",
				after: func(r *run) {
					r.must("mkdir -p -m 700 /run/otpgate/keys && cp /var/lib/otpgate-keys/first /run/otpgate/keys/")
					r.encryptingWith("/run/otpgate/keys/first")
				}},
			"otpctl secrets status": {says: `0 not encrypted`},
			"otpctl secrets init /var/lib/otpgate-keys/second --spare age1... --out /root/second.age": {
				fill: recipient, after: func(r *run) { r.encryptingWith("/var/lib/otpgate-keys/second", "/run/otpgate/keys/first") }},
			"otpctl secrets rotate":  {says: `1 secret of 1 person encrypted`},
			"otpctl secrets decrypt": {says: `1 secret of 1 person decrypted`},
		},
	},
	{
		document: "docs/sent-codes.md",
		begin:    func(r *run) { r.outside(installed.outside) },
		lines: map[string]handling{
			"(umask 077; cat >/etc/otpgate/secrets/smtp)":                    {typed: "correct horse\r\x04"},
			"systemctl daemon-reload && systemctl restart otpgate-verifierd": reachesMail("otpgate-verifierd"),
		},
	},
	{
		document: "docs/self-service.md",
		begin:    func(r *run) { r.outside(installed.outside) },
		lines: map[string]handling{
			"systemctl daemon-reload && systemctl restart otpgate-verifierd-portal": reachesMail("otpgate-verifierd-portal"),
		},
	},
	{
		document: "docs/sftpd.md",
		begin:    (*run).enrolled,
		lines: map[string]handling{
			"make install && systemd-sysusers":             {outside: installed.outside, instead: "systemd-sysusers", why: noGo},
			"systemctl enable --now otpgate-sftpd.service": {instead: "systemctl --root=/ enable otpgate-sftpd.service", why: noSystemd, says: "Created symlink"},
			"ssh-keygen -t ed25519 -f user_ca":             {before: func(r *run) { r.chdir("/root") }},
			`ssh-keygen -s user_ca -I "alice, laptop" -n alice -V +8h -z 17 id_ed25519.pub`: {
				before: func(r *run) { r.must("ssh-keygen -q -t ed25519 -N '' -f id_ed25519") }, says: "Signed user key"},
			"sftp -P 2022 alice@server": {before: func(r *run) {
				r.start("otpgate-sftpd", "bash -c '</dev/tcp/127.0.0.1/2022'")
			}, says: "Connected to server"},
		},
	},
	{
		document: "docs/verifier.md", to: "systemd-sysusers",
		lines: map[string]handling{
			"otpgate-verifierd": {background: "test -S /run/otpgate/verifier.sock"},
			"kill -HUP PID":     {fill: (*run).pid},
			"kill -TERM PID": {fill: (*run).pid, after: func(r *run) {
				if status := r.background.Status(); status != 0 {
					r.Errorf("the verifier ended with status %d", status)
				}
			}},
		},
	},
	{document: "docs/verifier.md", from: "systemd-sysusers", lines: enabling},
	{document: "packaging/man/otpgate-verifierd.8", lines: enabling},
	{
		document: "docs/remote.md",
		begin:    func(r *run) { r.write(r.T, "/etc/otpgate/otpgate.toml", "[gateway]\n") },
		lines: map[string]handling{
			// The servers and the hosts of the page are all this one machine.
			"otpctl client init": {before: func(r *run) { r.must("rm -rf /etc/otpgate/gateway") }, says: "^[A-Za-z0-9+/]{43}="},
			"systemctl enable --now otpgate-verifierd.socket otpgate-gateway": {
				instead: "systemctl --root=/ enable otpgate-verifierd.socket otpgate-gateway", why: noSystemd, says: "Created symlink"},
			"otpctl client list":                                       {says: "web1"},
			"otpctl break-glass root":                                  {before: asClient, says: "Break-glass codes of root"},
			"otpctl break-glass list":                                  {says: "root +8 of 8"},
			"otpctl break-glass root --elsewhere --hashes root.hashes": {says: "each machine that has their hashes"},
			"ssh web1 otpctl break-glass install root <root.hashes": {
				instead: "otpctl break-glass install root --json <root.hashes", why: "there is no other machine", says: "changed",
				after: func(r *run) {
					r.must("rm root.hashes") // it lies in the source
					r.write(r.T, "/etc/otpgate/otpgate.toml", "[gateway]\n")
				}},
			"systemctl daemon-reload && systemctl enable --now otpgate-verifierd.socket": {
				instead: "systemd-analyze verify --man=no otpgate-verifierd.service && cat /etc/systemd/system/otpgate-verifierd.service.d/remote.conf",
				why:     noSystemd, says: `^#(?s).*IPAddressAllow=any`},
			"systemctl add-wants multi-user.target otpgate-verifierd.service && systemctl restart otpgate-verifierd": {
				instead: "systemctl --root=/ add-wants multi-user.target otpgate-verifierd.service && ls /etc/systemd/system/multi-user.target.wants",
				why:     noSystemd, says: `otpgate-verifierd\.service`},
			"systemctl restart otpgate-gateway": {instead: "systemd-analyze verify --man=no otpgate-gateway.service", why: noSystemd},
		},
	},
	{
		document: "docs/ledger.md",
		lines: map[string]handling{
			"apt-get install etcd-server etcd-client":                                     {instead: "true", why: noNetwork},
			"systemctl stop etcd && rm -rf /var/lib/etcd/default && systemctl start etcd": {instead: "true", why: noNetwork},
			enableLedger:                   asksForLedger,
			"otpctl ledger status":         {says: `The ledger is in files, /var/lib/otpgate`},
			"otpctl ledger check":          {says: `All can be used`},
			"otpctl ledger move --to etcd": {statuses: []int{1}, says: `the configuration has no \[ledger\]`},
			"otpctl ledger move --people":  {statuses: []int{1}, says: `expected ledger\.people = true`},
			"otpctl ledger move --undo":    {statuses: []int{1}, says: `no move of the ledger in /var/lib/otpgate is under way|there is no ledger in files`},
		},
	},
	{document: "packaging/man/otpgate-portal.8", lines: map[string]handling{enablePage: asksForPage}},
	{document: "packaging/man/otpgate-ledgerd.8", lines: map[string]handling{enableLedger: asksForLedger}},
	{
		document: "packaging/man/otpgate-gateway.8",
		begin:    func(r *run) { r.write(r.T, "/etc/otpgate/otpgate.toml", "[gateway]\n") },
		lines: map[string]handling{
			"systemctl enable --now otpgate-gateway": {instead: "systemctl --root=/ enable otpgate-gateway", why: noSystemd, says: "Created symlink"},
		},
	},
}

var enabling = map[string]handling{
	"systemd-sysusers && systemd-tmpfiles --create otpgate.conf": {},
	"systemctl enable --now otpgate-verifierd.socket":            {instead: "systemctl --root=/ enable otpgate-verifierd.socket", why: noSystemd, says: "Created symlink"},
}
