package e2e

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// keygen runs ssh-keygen.
func keygen(t *testing.T, args ...string) {
	t.Helper()
	if output, err := exec.Command("ssh-keygen", append([]string{"-q"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %q: %v: %s", args, err, output)
	}
}

// keyPair makes a key and returns the path of its private half.
func keyPair(t *testing.T, kind string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), kind)
	args := []string{"-t", kind, "-N", "", "-f", path}
	if kind == "rsa" {
		args = append(args, "-b", "2048") // ssh-keygen's own 3072 take several times as long
	}
	keygen(t, args...)
	return path
}

// certify signs a key and returns the path of the certificate.
func certify(t *testing.T, authority, key string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	write(t, path+".pub", read(t, key+".pub"))
	keygen(t, append(append([]string{"-s", authority, "-I", "the id"}, args...), path+".pub")...)
	return path + "-cert.pub"
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// byCertificate says whether OpenSSH's sftp is in by a certificate.
func byCertificate(t *testing.T, s *hosts.SFTPD, p *machine.Person, key, cert string) (bool, string) {
	t.Helper()
	cmd := s.Batch(t, p, []string{"BatchMode=yes", "PreferredAuthentications=publickey", "IdentitiesOnly=yes", "IdentityFile=" + key, "CertificateFile=" + cert}, "pwd")
	output, err := cmd.CombinedOutput()
	return err == nil && strings.Contains(string(output), p.Name+" is in"), string(output)
}

// beside is an sshd that is asked the same.
func beside(t *testing.T, service string, lines ...string) *hosts.SFTPD {
	t.Helper()
	machine.AddToService(t, "sshd", service)
	sshd := hosts.StartSSHD(t, service, append([]string{"Subsystem sftp internal-sftp", "AuthenticationMethods publickey", "UsePAM no"}, lines...)...)
	return &hosts.SFTPD{Port: sshd.Port}
}

// caTest is a certificate of an authority, made with more arguments of ssh-keygen,
// and whether it lets somebody in.
type caTest struct {
	ca   string
	args []string
	want bool
	why  string // in the log
}

// Certificates of root's authorities, by OpenSSH's programs, and what sshd says
// to each of them.
func TestSFTPTrustedCA(t *testing.T) {
	t.Parallel()
	ca, rsaCA, otherCA := keyPair(t, "ed25519"), keyPair(t, "rsa"), keyPair(t, "ed25519")
	trusted := filepath.Join(t.TempDir(), "user_ca.pub")
	write(t, trusted, "# people\n"+read(t, ca+".pub")+read(t, rsaCA+".pub"))
	s := startSFTPD(t, "sftp-ca", noCodes, patient+"authorized_keys = []\ntrusted_user_ca_keys = \""+trusted+"\"\n")
	sshd := beside(t, "sshd-ca", "TrustedUserCAKeys "+trusted)
	p := machine.NewPerson(t, "sfc")
	key := keyPair(t, "ed25519")
	for name, test := range map[string]caTest{
		"good":                 {ca, []string{"-n", p.Name}, true, `verdict=proven rule=certificate reason="certificate \"the id\", serial 0, of SHA256:`},
		"one of several":       {ca, []string{"-n", "ops," + p.Name, "-V", "-1d:+1d", "-z", "7"}, true, "serial 7"},
		"by RSA":               {rsaCA, []string{"-n", p.Name, "-t", "rsa-sha2-256"}, true, "proven"},
		"by RSA with SHA-1":    {rsaCA, []string{"-n", p.Name, "-t", "ssh-rsa"}, false, "not taken"},
		"another authority's":  {otherCA, []string{"-n", p.Name}, false, ""},
		"somebody else's":      {ca, []string{"-n", "root,ops"}, false, "not the user"},
		"a pattern":            {ca, []string{"-n", "*"}, false, "not the user"},
		"nobody's":             {ca, nil, false, "not the user"},
		"a host's":             {ca, []string{"-h", "-n", p.Name}, false, ""}, // the client does not offer it
		"expired":              {ca, []string{"-n", p.Name, "-V", "20200101:20210101"}, false, "it was valid until"},
		"not yet valid":        {ca, []string{"-n", p.Name, "-V", "20900101:20910101"}, false, "not valid before"},
		"from here":            {ca, []string{"-n", p.Name, "-O", "source-address=10.0.0.0/8,127.1.0.0/16"}, true, "proven"},
		"from elsewhere":       {ca, []string{"-n", p.Name, "-O", "source-address=10.0.0.0/8"}, false, "good from"},
		"internal-sftp alone":  {ca, []string{"-n", p.Name, "-O", "force-command=internal-sftp"}, true, "proven"},
		"an unknown option":    {ca, []string{"-n", p.Name, "-O", "critical:no-such@example.com"}, false, "not known"},
		"an unknown extension": {ca, []string{"-n", p.Name, "-O", "extension:no-such@example.com=x"}, true, "proven"},
		"no extensions":        {ca, []string{"-n", p.Name, "-O", "clear"}, true, "proven"},
	} {
		expectCertificate(t, s, sshd, p, key, name, test)
	}
	// sshd would run the command.
	if in, shown := byCertificate(t, s, p, key, certify(t, ca, key, "-n", p.Name, "-O", "force-command=/bin/true")); in {
		t.Errorf("in with a command:\n%s", shown)
	}
	// The authority's own key lets nobody in, and a certificate is of no use
	// without its key, or to others.
	good := certify(t, ca, key, "-n", p.Name)
	if in, shown := byCertificate(t, s, p, ca, ca+".pub"); in {
		t.Errorf("in by the authority's key:\n%s", shown)
	}
	if in, shown := byCertificate(t, s, p, otherCA, good); in {
		t.Errorf("in without the key:\n%s", shown)
	}
	if in, shown := byCertificate(t, s, machine.NewPerson(t, "sfc"), key, good); in {
		t.Errorf("somebody else is in:\n%s", shown)
	}
	stranger := machine.WithoutUser("sfc")
	if in, shown := byCertificate(t, s, stranger, key, certify(t, ca, key, "-n", stranger.Name)); in {
		t.Errorf("nobody is in:\n%s", shown)
	}
	expectSpoiledFileTrustsNobody(t, s, p, trusted, ca, key, good)
}

// expectCertificate has a certificate let p in or not, with the reason in the
// log, and sshd decide the same.
func expectCertificate(t *testing.T, s, sshd *hosts.SFTPD, p *machine.Person, key, name string, test caTest) {
	t.Helper()
	cert := certify(t, test.ca, key, test.args...)
	in, shown := byCertificate(t, s, p, key, cert)
	if in != test.want {
		t.Errorf("%s: expected in %v, found %v:\n%s\n%s", name, test.want, in, shown, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
	if test.why != "" {
		machine.Log.Expect(t, "user="+p.Name+" ", test.why)
	}
	if in, shown := byCertificate(t, sshd, p, key, cert); in != test.want {
		t.Errorf("%s: sshd lets in: %v\n%s", name, in, shown)
	}
}

// expectSpoiledFileTrustsNobody has a file that others could have written, or
// that is none of keys, let nobody in until it is mended.
func expectSpoiledFileTrustsNobody(t *testing.T, s *hosts.SFTPD, p *machine.Person, trusted, ca, key, good string) {
	t.Helper()
	for spoil, mend := range map[string]string{"chmod o+w ": "chmod o-w ", "chown daemon ": "chown root "} {
		run(t, spoil+trusted)
		if in, shown := byCertificate(t, s, p, key, good); in {
			t.Errorf("in after %s:\n%s", spoil, shown)
		}
		machine.Log.Expect(t, "user="+p.Name+" ", "verdict=fault", "rule=sftp.trusted_user_ca_keys", "unsafe file")
		run(t, mend+trusted)
	}
	write(t, trusted, "cert-authority "+read(t, ca+".pub"))
	if in, shown := byCertificate(t, s, p, key, good); in {
		t.Errorf("in with options in the file:\n%s", shown)
	}
	machine.Log.Expect(t, "user="+p.Name+" ", trusted+": line 1: expected a public key")
	write(t, trusted, read(t, ca+".pub"))
	if in, shown := byCertificate(t, s, p, key, good); !in {
		t.Errorf("expected in with the file mended:\n%s", shown)
	}
}

func run(t *testing.T, line string) {
	t.Helper()
	fields := strings.Fields(line)
	if output, err := exec.Command(fields[0], fields[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, output)
	}
}

// Authorities that people name themselves, and what sshd says.
func TestSFTPCertAuthority(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-certauthority", noCodes, patient)
	sshd := beside(t, "sshd-certauthority")
	p := machine.NewPerson(t, "sfc")
	ca, key := keyPair(t, "ecdsa"), keyPair(t, "ed25519")
	own, ops, none := certify(t, ca, key, "-n", p.Name), certify(t, ca, key, "-n", "ops"), certify(t, ca, key)
	for _, test := range []struct {
		options, cert string
		want          bool
	}{
		{"cert-authority", own, true},
		{"cert-authority", ops, false},
		{"", own, false},
		{"restrict,cert-authority", own, true},
		{`principals="ops"`, ops, false},
		{`cert-authority,principals="dev,ops"`, ops, true},
		{`cert-authority,principals="dev,ops"`, own, false},
		{`cert-authority,principals="dev"`, none, false},
		{`cert-authority,from="192.0.2.1"`, own, false},
		{`cert-authority,expiry-time="20200101"`, own, false},
		{"cert-authority,no-such-option", own, false},
		{"cert-authority", certify(t, ca, key, "-n", p.Name, "-V", "20200101:20210101"), false},
		{"cert-authority", certify(t, ca, key, "-n", p.Name, "-O", "source-address=192.0.2.1"), false},
		{"cert-authority", certify(t, keyPair(t, "ecdsa"), key, "-n", p.Name), false},
	} {
		authorize(t, p, strings.TrimSpace(test.options+" "+read(t, ca+".pub")))
		if in, shown := byCertificate(t, s, p, key, test.cert); in != test.want {
			t.Errorf("%s: expected in %v, found %v:\n%s\n%s", test.options, test.want, in, shown, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
		if in, shown := byCertificate(t, sshd, p, key, test.cert); in != test.want {
			t.Errorf("%s: sshd lets in: %v\n%s", test.options, in, shown)
		}
	}
	// The sshd of OpenSSH 9.2 takes one without principals for everybody's.
	authorize(t, p, "cert-authority "+read(t, ca+".pub"))
	if in, shown := byCertificate(t, s, p, key, none); in {
		t.Errorf("in by a certificate that names nobody:\n%s", shown)
	}
	// The second line of one authority counts where the first does not.
	authorize(t, p, `cert-authority,principals="dev" `+read(t, ca+".pub")+`cert-authority,principals="ops" `+read(t, ca+".pub"))
	if in, shown := byCertificate(t, s, p, key, ops); !in {
		t.Errorf("expected in by the second line:\n%s", shown)
	}
}

// Revoked keys let nobody in, whatever they are used as.
func TestSFTPRevokedKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	revoked, trusted := filepath.Join(dir, "revoked"), filepath.Join(dir, "user_ca.pub")
	ca, key := keyPair(t, "ed25519"), keyPair(t, "ed25519")
	write(t, trusted, read(t, ca+".pub"))
	write(t, revoked, "")
	s := startSFTPD(t, "sftp-revoked", noCodes, patient+"trusted_user_ca_keys = \""+trusted+"\"\nrevoked_keys = \""+revoked+"\"\n")
	sshd := beside(t, "sshd-revoked", "TrustedUserCAKeys "+trusted, "RevokedKeys "+revoked)
	p := machine.NewPerson(t, "sfc")
	plain := keyPair(t, "ed25519")
	authorize(t, p, read(t, plain+".pub"))
	cert := certify(t, ca, key, "-n", p.Name)
	krl := filepath.Join(dir, "krl")
	keygen(t, "-k", "-f", krl, keyPair(t, "ed25519")+".pub")
	for name, test := range map[string]struct {
		text             string
		plain, certified bool
		why              string
		unlikeSSHD       bool
	}{
		"nothing":         {"# none\n\n", true, true, "", false},
		"another key":     {read(t, keyPair(t, "rsa")+".pub"), true, true, "", false},
		"the plain key":   {read(t, plain+".pub"), false, true, "the key SHA256:", false},
		"the key in it":   {"\n" + read(t, key+".pub"), true, false, "the key SHA256:", false},
		"the certificate": {read(t, cert), true, false, "the key SHA256:", false},
		"the authority":   {read(t, ca+".pub"), true, false, "the authority SHA256:", false},
		"a binary list":   {read(t, krl), false, false, "a binary revocation list (KRL) is not read here", true},
		"a typing error":  {strings.Replace(read(t, keyPair(t, "ed25519")+".pub"), "AAAA", "AAA", 1), false, false, revoked + ": line 1: expected a public key", true},
	} {
		write(t, revoked, test.text)
		for _, server := range []*hosts.SFTPD{s, sshd} {
			if server == sshd && test.unlikeSSHD {
				continue
			}
			if in, shown := byCertificate(t, server, p, plain, plain+".pub"); in != test.plain {
				t.Errorf("%s: sshd %v: expected in by the plain key %v, found %v:\n%s", name, server == sshd, test.plain, in, shown)
			}
			if in, shown := byCertificate(t, server, p, key, cert); in != test.certified {
				t.Errorf("%s: sshd %v: expected in by the certificate %v, found %v:\n%s", name, server == sshd, test.certified, in, shown)
			}
		}
		if test.why != "" {
			machine.Log.Expect(t, "user="+p.Name+" ", "rule=sftp.revoked_keys", test.why)
		}
	}
	write(t, revoked, "")
	for _, spoil := range []string{"chmod g+w ", "rm "} {
		run(t, spoil+revoked)
		if in, shown := byCertificate(t, s, p, plain, plain+".pub"); in {
			t.Errorf("in after %s:\n%s", spoil, shown)
		}
	}
	machine.Log.Expect(t, "user="+p.Name+" ", "verdict=fault", "rule=sftp.revoked_keys", "no such file")
	s.Signal(t, syscall.SIGHUP)
	machine.Log.Expect(t, `user="" service=`+s.Service()+" ", "verdict=fault", "rule=sftp.revoked_keys", "no such file")
}

// Kinds of certified keys follow unproven_keys as plain ones do.
func TestSFTPKindsOfCertificates(t *testing.T) {
	trusted := filepath.Join(t.TempDir(), "user_ca.pub")
	ca := ed25519Key(t)
	write(t, trusted, string(ssh.MarshalAuthorizedKey(ca.PublicKey())))
	for _, setting := range []string{"with-code", "allow", "refuse"} {
		t.Run(setting, func(t *testing.T) {
			onSFTPPaths(t, "sftp-certs-"+setting, "", patient+"unproven_keys = \""+setting+"\"\ntrusted_user_ca_keys = \""+trusted+"\"\n", func(t *testing.T, s *hosts.SFTPD) {
				for _, kind := range []string{"ed25519", "rsa", "ecdsa"} {
					kindOfCertificate(t, s, ca, setting, kind)
				}
			})
		})
	}
}

func kindOfCertificate(t *testing.T, s *hosts.SFTPD, ca ssh.Signer, setting, kind string) {
	plain, err := ssh.ParsePrivateKey([]byte(read(t, keyPair(t, kind))))
	must(t, err)
	free, asked := machine.NewPerson(t, "sfc"), machine.NewPerson(t, "sfc").Enroll(t, s.Site.Users)
	signer := certifiedSigner(t, ca, plain, &ssh.Certificate{ValidPrincipals: []string{free.Name, asked.Name}})
	v := &sshClient{person: free, server: s}
	if in, want := v.in(t, ssh.PublicKeys(signer)), kind == "ed25519" || setting == "allow"; in != want {
		t.Errorf("%s without a code: expected in %v, found %v: %s\n%s", kind, want, in, v.told, machine.Text(machine.Log.Lines("user="+free.Name+" ")))
	}
	v = &sshClient{person: asked, server: s, codes: []string{asked.Code(t, 0)}, keyOnly: true}
	if in, want := v.in(t, ssh.PublicKeys(signer), ssh.KeyboardInteractive(v.challenge)), kind == "ed25519" || setting != "refuse"; in != want || want != (v.asked == 1) {
		t.Errorf("%s with a code: expected in %v, found %v after %d prompts: %s", kind, want, in, v.asked, v.told)
	}
}

// certifiedSigner has an authority sign a certificate for a key.
func certifiedSigner(t *testing.T, authority, key ssh.Signer, cert *ssh.Certificate) ssh.Signer {
	t.Helper()
	cert.Key, cert.CertType, cert.ValidBefore = key.PublicKey(), ssh.UserCert, ssh.CertTimeInfinity
	must(t, cert.SignCert(rand.Reader, authority))
	signer, err := ssh.NewCertSigner(cert, key)
	must(t, err)
	return signer
}
