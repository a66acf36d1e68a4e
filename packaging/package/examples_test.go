package packages_test

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/document"
	"github.com/otpgate/otpgate/otpctl/command"
)

// examples runs the examples of otpctl's help, which are those of otpctl(1), each
// in a Debian of its own.
func examples(t *testing.T, installed debian) {
	peopled := installed.layer(t)
	(&run{T: t, debian: peopled, dir: "/root"}).people()
	used := map[string]bool{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			line = document.Uncommented(line)
			used[line] = true
			t.Run(line, func(t *testing.T) {
				r := &run{T: t, debian: peopled.layer(t), dir: "/root"}
				h := exampleLines[line]
				if before, _, piped := strings.Cut(line, " | jq"); piped {
					// There is no jq in the Debian.
					h.instead, h.why = before+" | grep .", "only what otpctl writes is of interest"
				}
				r.line(document.Block{Place: c.CommandPath() + " --help"}, document.Command{Line: line}, h)
			})
		}
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(command.Tree())
	for line := range exampleLines {
		if !used[line] {
			t.Errorf("the table has %q, which is no example", line)
		}
	}
}

// people are those of the examples: alice with a phone and a tablet, bob, and
// what they brought along.
func (r *run) people() {
	r.Helper()
	r.write(r.T, "/etc/otpgate/otpgate.toml", "[totp]\nwindow = 10\n[policy]\nsession = \"1h\"\n"+
		"[email]\nsendmail = \"/usr/local/sbin/post\"\nfrom = \"otpgate@example.com\"\n"+
		"[portal]\nurl = \"https://otp.example.com\"\n"+
		"[sms]\nurl = \"https://127.0.0.1:9/{otp_to}\"\nbody = \"{otp_token}\"\n")
	r.write(r.T, "/usr/local/sbin/post", "#!/bin/sh\ncat >/root/mail\n")
	r.write(r.T, "/root/people.csv", "user,kind\ncarol,totp\n")
	r.write(r.T, "/root/devices.csv", "user,id,secret,confirmed,email\nalice,phone,"+known+",yes,alice@example.com\nbob,phone,KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU,yes,\n")
	r.write(r.T, "/root/tablet.csv", "user,id,secret,confirmed\nalice,tablet,"+known+",yes\n")
	r.write(r.T, "/root/waiting.csv", "user,id,secret\nalice,tablet,"+known+"\n")
	r.write(r.T, "/root/seed.txt", known+"\n")
	r.write(r.T, "/home/alice/.google_authenticator", known+"\n\" TOTP_AUTH\n12345678\n")
	r.write(r.T, "/etc/users.oath", "HOTP/T30/6 dave - 3132333435363738393031323334353637383930\n")
	r.must("chmod 755 /usr/local/sbin/post && chown alice: /home/alice/.google_authenticator && chmod 400 /home/alice/.google_authenticator /etc/users.oath")
	r.must("cp " + source + "/packaging/examples/10-otpgate.conf /etc/ssh/sshd_config.d/ && age-keygen -o key.txt")
	r.must("otpctl enroll --csv devices.csv && otpctl enroll --csv tablet.csv")
	r.must("otpctl export --recipient $(age-keygen -y key.txt) --out otpgate.age")
}

// known is a secret of the examples.
const known = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

func without(what string) func(r *run) {
	return func(r *run) { r.must("otpctl remove alice --yes" + what) }
}

// invitable leaves people without a device, but with an address.
func invitable(people ...string) func(r *run) {
	return func(r *run) {
		for _, user := range people {
			r.must("otpctl remove " + user + " --yes && otpctl invite " + user + " --email " + user + "@example.com && otpctl invite cancel " + user)
		}
	}
}

// unconfirmed is alice with one device that waits for its first code.
func (r *run) unconfirmed() {
	r.Helper()
	r.must("otpctl remove alice --yes && otpctl enroll --csv waiting.csv")
}

// now is the code of the known secret so many steps from now.
func now(steps int) func(r *run) string {
	return func(r *run) string { return r.debian.code(r.T, known, steps) }
}

func coded(placeholder string) func(r *run) (string, string) {
	return func(r *run) (string, string) { return placeholder, now(0)(r) }
}

func recipient(r *run) (string, string) {
	return "age1...", strings.TrimSpace(r.must("age-keygen -y key.txt"))
}

// exampleLines are those of otpctl's examples that need something.
var exampleLines = importsIn(ofTheHelp, map[string]handling{
	"systemctl enable --now otpgate-remind.timer":                                {instead: "systemctl --root=/ enable otpgate-remind.timer", why: noSystemd, says: "Created symlink"},
	"otpctl enroll alice":                                                        {before: without("")},
	"otpctl enroll alice --id tablet":                                            {before: without(" --id tablet")},
	"otpctl enroll alice --qr png=/root/alice.png":                               {before: without("")},
	"otpctl enroll alice --json | jq -r .uri":                                    {before: without(""), says: "otpauth:"},
	"otpctl enroll alice --kind hotp --secret - --counter 120 <seed.txt":         {before: without("")},
	"otpctl enroll alice --kind hotp --secret - --prefix ubhe00000001 <seed.txt": {before: without("")},
	"otpctl enroll alice --kind email --email alice@example.com":                 {says: "is confirmed"},
	"otpctl invite alice":                                                        {before: invitable("alice"), says: "alice: invited, by a mail"},
	"otpctl invite alice --email alice@example.com":                              {before: without("")},
	"otpctl invite alice --print":                                                {before: without(""), says: "https://otp.example.com/"},
	"otpctl invite --group staff":                                                {before: invitable("alice", "bob")},
	"otpctl invite --csv people.csv":                                             {before: func(r *run) { r.write(r.T, "/root/people.csv", "user,email\ncarol,carol@example.com\n") }},
	"otpctl confirm alice 123456":                                                {before: (*run).unconfirmed, fill: coded("123456")},
	"otpctl confirm alice - --json <code.txt":                                    {before: func(r *run) { r.unconfirmed(); r.write(r.T, "/root/code.txt", now(0)(r)+"\n") }},
	"otpctl confirm alice --id tablet":                                           {before: (*run).unconfirmed},
	"otpctl doctor":                                                              {before: (*run).asking, statuses: doctors},
	"otpctl doctor --service sshd":                                               {before: (*run).asking, statuses: doctors},
	"otpctl doctor --json --ignore sshd-key-alone":                               {before: (*run).asking, statuses: doctors},
	"otpctl enable alice bob":                                                    {before: func(r *run) { r.must("otpctl disable alice bob") }},
	"otpctl export --recipient age1... --out /root/otpgate.age":                  {before: func(r *run) { r.must("rm otpgate.age") }, fill: recipient},
	"otpctl export alice --recipient age1... | ssh backup 'cat >otpgate.age'": {
		fill: func(r *run) (string, string) {
			placeholder, key := recipient(r)
			return placeholder + " | ssh backup", key + " | sh -c"
		}},
	"otpctl import backup otpgate.age --identity key.txt":           {before: func(r *run) { r.must("rm /etc/otpgate/users/*") }},
	"otpctl import backup otpgate.age --identity key.txt --dry-run": {before: func(r *run) { r.must("rm /etc/otpgate/users/*") }},
	"otpctl import google-authenticator --home-dirs --dry-run":      {before: without("")},
	"otpctl import google-authenticator --home-dirs":                {before: without("")},
	"otpctl import google-authenticator --home-dirs --user alice":   {before: without("")},
	"otpctl import google-authenticator /var/lib/google-authenticator/*": {before: func(r *run) {
		r.must("otpctl remove alice --yes && mkdir /var/lib/google-authenticator && mv /home/alice/.google_authenticator /var/lib/google-authenticator/alice && chown root: /var/lib/google-authenticator/alice")
	}},
	"otpctl pam enable vsftpd --argument protocol=ftps --confirm-within 10m": {
		before: func(r *run) {
			r.write(r.T, "/etc/pam.d/vsftpd", "@include common-account\n@include common-session\n@include common-auth\n")
			r.start("otpgate-verifierd", "test -S /run/otpgate/verifier.sock")
		}, says: "split protocol=ftps"},
	"otpctl pam disable sshd": {before: (*run).changed},
	"otpctl pam confirm sshd": {before: func(r *run) {
		r.changed()
		r.secret, r.steps = known, 1
		r.expectIn(r.T, r.next())
	}},
	"otpctl pam restore sshd":                                                               {before: (*run).changed},
	"usermod -l alicia alice && otpctl rename alice alicia":                                 {says: "alice is alicia now"},
	"otpctl secrets init /var/lib/otpgate-keys/first --spare age1... --out /root/spare.age": {fill: recipient, says: "has the key"},
	"otpctl secrets init /var/lib/otpgate-keys/first --spare age1... | ssh safe 'cat >spare.age'": {
		fill: func(r *run) (string, string) {
			placeholder, key := recipient(r)
			return placeholder + " | ssh safe", key + " | sh -c"
		}},
	"otpctl secrets init /var/lib/otpgate-keys/second --spare age1... --out /root/second.age": {fill: recipient, says: "has the key"},
	"otpctl secrets encrypt --dry-run":         {before: (*run).withKey, says: "3 secrets of 2 people would be encrypted"},
	"otpctl secrets encrypt":                   {before: (*run).withKey, says: "3 secrets of 2 people encrypted"},
	"otpctl secrets status":                    {before: (*run).withKey, says: "3 not encrypted"},
	"otpctl secrets status --json | jq .plain": {before: (*run).withKey},
	"otpctl secrets rotate":                    {before: (*run).withKey, says: "0 secrets"},
	"otpctl secrets decrypt --dry-run":         {before: (*run).withKey, says: "0 secrets"},
	"otpctl secrets decrypt":                   {before: (*run).withKey, says: "0 secrets"},
	"otpctl secrets open spare.age /var/lib/otpgate-keys/first --identity key.txt": {before: func(r *run) {
		r.withKey()
		r.must("rm /var/lib/otpgate-keys/first")
	}},
	"otpctl secrets open - /run/otpgate/keys/first --identity key.txt <spare.age": {before: func(r *run) {
		r.withKey()
		r.must("mkdir -p -m 700 /run/otpgate/keys")
	}},
	"otpctl resync alice": {before: without(" --id tablet")},
	"otpctl resync alice 123456 654321": {before: without(" --id tablet"), fill: func(r *run) (string, string) {
		return "123456 654321", strings.Join(r.codes(r.T, known, -3, 2), " ")
	}},
	"otpctl resync alice --id token - --json <codes.txt": {before: func(r *run) {
		r.must("printf 'user,kind,id,secret,confirmed\\nalice,hotp,token," + known + ",yes\\n' >token.csv && otpctl enroll --csv token.csv")
		codes := r.must("oathtool --hotp --base32 --counter 30 --window 1 " + known)
		r.write(r.T, "/root/codes.txt", codes)
	}},
	"otpctl test alice --service sshd":                              {before: (*run).changed, says: `alice by ssh is asked for a code`},
	"otpctl test alice --service sshd --from 192.0.2.7":             {before: (*run).changed, says: `alice by ssh from 192.0.2.7 is asked for a code`},
	"otpctl client key":                                             {before: keyed, says: "^[A-Za-z0-9+/]{43}="},
	"otpctl client key --json | jq -r .key":                         {before: keyed, says: `"key": "`},
	"otpctl client list":                                            {before: withClient, says: "web1"},
	"otpctl break-glass root":                                       {before: asClient, says: "Break-glass codes of root"},
	"otpctl break-glass root --elsewhere --hashes root.hashes":      {before: func(r *run) { r.must("rm -f root.hashes") }, says: "each machine that has their hashes"},
	"otpctl break-glass list":                                       {says: "Nobody has break-glass codes here"},
	"otpctl break-glass list --json | jq '.[] | select(.left < 4)'": {},
	"otpctl break-glass remove root":                                {before: withBreakGlass},
	"ssh web1 otpctl break-glass install root <root.hashes": {
		before: func(r *run) {
			asClient(r)
			r.must("rm -f root.hashes && otpctl break-glass root --elsewhere --hashes root.hashes")
		},
		instead: "otpctl break-glass install root --json <root.hashes", why: "there is no other machine", says: "changed",
		after: func(r *run) { r.must("rm root.hashes") }},
	"otpctl client list --json | jq -r '.[].client'":                                           {before: withClient, says: "web1"},
	"otpctl client remove web1":                                                                {before: withClient},
	"otpctl unlock --client web1":                                                              {before: withClient},
	"otpctl client add web1 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=":                      {before: serving},
	"otpctl client add web1 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= --services sshd,sudo": {before: serving},
	"otpctl client add web1 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= --services sshd,sudo --users @staff --from 192.0.2.0/24": {before: serving},
	"otpctl ledger move --to etcd":                  {statuses: []int{1}, says: `the configuration has no \[ledger\]`},
	"otpctl ledger move --people":                   {statuses: []int{1}, says: `expected ledger\.people = true`},
	"otpctl ledger move --undo":                     {statuses: []int{1}, says: `no move of the ledger in /var/lib/otpgate is under way|there is no ledger in files`},
	"otpctl send-test sms alice --to +491511234567": {statuses: []int{1}, says: "127.0.0.1:9"},
})

// withKey has a key in the configuration, with which nothing is encrypted yet.
func (r *run) withKey() {
	r.Helper()
	_, key := recipient(r)
	r.must("otpctl secrets init /var/lib/otpgate-keys/first --spare " + key + " --out /root/spare.age && printf '[secrets]\\nkeys = [\"/var/lib/otpgate-keys/first\"]\\n' >>/etc/otpgate/otpgate.toml")
}

// serving makes the machine a server, withClient gives it a client, and keyed a key.
func serving(r *run) {
	r.Helper()
	r.must("printf '[gateway]\\n' >>/etc/otpgate/otpgate.toml")
}

func withClient(r *run) {
	r.Helper()
	serving(r)
	r.must("otpctl client add web1 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
}

// asClient makes the machine a client, withBreakGlass gives root break-glass codes there.
func asClient(r *run) {
	r.Helper()
	r.write(r.T, "/etc/otpgate/otpgate.toml", "[remote]\nservers = [\"otp1.example.com:9152\"]\nserver_keys = [\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]\n")
}

func withBreakGlass(r *run) {
	r.Helper()
	asClient(r)
	r.must("otpctl break-glass root")
}

func keyed(r *run) {
	r.Helper()
	r.must("otpctl client init")
}

// asking is an sshd that asks: that nothing does is an error to the doctor.
func (r *run) asking() {
	r.Helper()
	r.must("otpctl pam enable sshd --confirm-within 0s --force")
}

// changed is an sshd that asks, until it is confirmed.
func (r *run) changed() {
	r.Helper()
	r.must("setsid -w otpctl pam enable sshd && sleep 1")
}
