package e2e

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// startHostile starts a server whose fronts do what the client says.
func startHostile(t *testing.T, name, text, table string) *hosts.SFTPD {
	t.Helper()
	return startHostileAt(t, machine.NewSite(t, name, text), text, table)
}

// startHostileAt starts it at a site.
func startHostileAt(t *testing.T, site machine.Site, text, table string) *hosts.SFTPD {
	t.Helper()
	programs := filepath.Join(machine.Root, "hostile-"+site.Name)
	if err := os.MkdirAll(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"otpgate-sftpd": "otpgate-sftpd", "otpgate-sftpd-login": "otpgate-sftpd-login",
		"otpgate-sftpd-worker": "otpgate-sftpd-worker", "hostile": "otpgate-sftpd-front"} {
		copyProgram(t, filepath.Join(machine.Files, from), filepath.Join(programs, to))
	}
	return hosts.StartSFTPDFrom(t, programs, site, text, table)
}

// taken is a connection of a front that was taken over.
type taken struct {
	t      *testing.T
	conn   net.Conn
	server *hosts.SFTPD
}

func take(t *testing.T, s *hosts.SFTPD, p *machine.Person) *taken {
	t.Helper()
	return &taken{t, (&sshClient{person: p, server: s}).dial(t), s}
}

var errHungUp = errors.New("the broker hung up")

// ask sends a message as it is and returns the answer.
func (c *taken) ask(message []byte) (answer []byte, fds int, err error) {
	c.t.Helper()
	if _, err := c.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)); err != nil {
		return nil, 0, errHungUp
	}
	var head [4]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return nil, 0, errHungUp
	}
	frame := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c.conn, frame); err != nil {
		return nil, 0, errHungUp
	}
	return frame[1:], int(frame[0]), nil
}

// tell sends a message that is not answered.
func (c *taken) tell(message []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)); err != nil {
		c.t.Fatal(err)
	}
}

// sign has the broker sign, which makes data the session's id.
func (c *taken) sign(data []byte) error {
	_, _, err := c.ask(fields.Message(messages.AskSign).Blob(hosts.HostKey(c.t)).Text(ssh.KeyAlgoED25519).Blob(data).Bytes)
	return err
}

// step returns an outcome, 0 if the broker asks or hung up.
func (c *taken) step(message []byte) uint8 {
	c.t.Helper()
	answer, _, err := c.ask(message)
	if err != nil || len(answer) < 2 || answer[0] != messages.AnswerOutcome {
		return 0
	}
	return answer[1]
}

// hasSession says whether the broker gives out a worker.
func (c *taken) hasSession() bool {
	c.t.Helper()
	answer, fds, err := c.ask([]byte{messages.AskSession})
	return err == nil && fds == 1 && len(answer) == 2 && answer[1] == 1
}

// proofOf is a message that proves a key for a session.
func proofOf(t *testing.T, user, signedUser string, signer ssh.Signer, sessionID []byte) []byte {
	t.Helper()
	key := signer.PublicKey().Marshal()
	var signed fields.Writer
	signed.Blob(sessionID).U8(50).Text(signedUser).Text("ssh-connection").Text("publickey").Bool(true).Text(signer.PublicKey().Type()).Blob(key)
	signature, err := signer.Sign(nil, signed.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	var blob, w fields.Writer
	blob.Text(signature.Format).Blob(signature.Blob)
	return w.U8(messages.AskProve).Text(user).Blob(key).Text(signer.PublicKey().Type()).Blob(blob.Bytes).Text(signature.Format).Bytes
}

func sessionID(fill byte) []byte {
	id := make([]byte, 32)
	for i := range id {
		id[i] = fill
	}
	return id
}

// message is what is sent in a session of that id.
type message func(id []byte) []byte

// always is one that is the same in every session.
func always(bytes []byte) message { return func([]byte) []byte { return bytes } }

func passwordOf(user, password string) message {
	var w fields.Writer
	return always(w.U8(messages.AskPassword).Text(user).Text(password).Bytes)
}

func interactiveOf(user string) message {
	var w fields.Writer
	return always(w.U8(messages.AskInteractive).Text(user).Bytes)
}

// unsignedProofOf is proofOf with no signature.
func unsignedProofOf(user string, signer ssh.Signer) message {
	var w fields.Writer
	kind := signer.PublicKey().Type()
	return always(w.U8(messages.AskProve).Text(user).Blob(signer.PublicKey().Marshal()).Text(kind).Text("").Text(kind).Bytes)
}

// forgedFor has a certificate that names the authority and is signed by another.
func forgedFor(t *testing.T, ca ssh.Signer, user string) ssh.Signer {
	t.Helper()
	forged := certifiedSigner(t, ed25519Key(t), ed25519Key(t), &ssh.Certificate{ValidPrincipals: []string{user}})
	forged.PublicKey().(*ssh.Certificate).SignatureKey = ca.PublicKey()
	return forged
}

// hostCertificateFor has one that the authority signed for a host.
func hostCertificateFor(t *testing.T, ca ssh.Signer, user string) ssh.Signer {
	t.Helper()
	host := certifiedSigner(t, ca, ed25519Key(t), &ssh.Certificate{ValidPrincipals: []string{user}})
	host.PublicKey().(*ssh.Certificate).CertType = ssh.HostCert
	must(t, host.PublicKey().(*ssh.Certificate).SignCert(rand.Reader, ca))
	return host
}

// expectNothing sends messages in a session, none of which is to be accepted, and
// asks for a worker, which is not to be given out.
func expectNothing(t *testing.T, s *hosts.SFTPD, p *machine.Person, id []byte, steps []message) {
	t.Helper()
	c := take(t, s, p)
	if err := c.sign(id); err != nil {
		t.Fatal(err)
	}
	for _, message := range steps {
		if outcome := c.step(message(id)); outcome == messages.Accepted {
			t.Errorf("accepted")
		}
	}
	if c.hasSession() {
		t.Errorf("a worker was given out")
	}
}

// expectProof has a key that is proven in a session be enough for a worker.
func expectProof(t *testing.T, s *hosts.SFTPD, p *machine.Person, id []byte, signer ssh.Signer) {
	t.Helper()
	c := take(t, s, p)
	if err := c.sign(id); err != nil {
		t.Fatal(err)
	}
	if outcome := c.step(proofOf(t, p.Name, p.Name, signer, id)); outcome != messages.Accepted || !c.hasSession() {
		t.Errorf("expected that a proof is accepted, found %d\n%s", outcome, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
}

// A front that is taken over proves nothing by saying so.
func TestSFTPTakenOverLogin(t *testing.T) {
	t.Parallel()
	ca, trusted := ed25519Key(t), filepath.Join(t.TempDir(), "user_ca.pub")
	write(t, trusted, string(ssh.MarshalAuthorizedKey(ca.PublicKey())))
	for where, site := range sftpPaths("sftp-taken", "") {
		t.Run(where, func(t *testing.T) {
			takenOverLogin(t, startHostileAt(t, site(t), "", patient+"trusted_user_ca_keys = \""+trusted+"\"\n"), ca)
		})
	}
}

func takenOverLogin(t *testing.T, s *hosts.SFTPD, ca ssh.Signer) {
	p := machine.NewPerson(t, "sft").Enroll(t, s.Site.Users)
	signer, _ := newKey(t, p)
	free := machine.NewPerson(t, "sft")
	certified := certifiedSigner(t, ca, ed25519Key(t), &ssh.Certificate{ValidPrincipals: []string{free.Name, p.Name}})
	forged, host := forgedFor(t, ca, free.Name), hostCertificateFor(t, ca, free.Name)
	freeKey, _ := newKey(t, free)
	stranger := ed25519Key(t)
	proof := func(user, signedUser string, signer ssh.Signer) message {
		return func(id []byte) []byte { return proofOf(t, user, signedUser, signer, id) }
	}
	fill := byte(9)
	for name, steps := range map[string][]message{
		"nothing":                    {},
		"no signature":               {unsignedProofOf(free.Name, freeKey)},
		"another key's signature":    {proof(free.Name, free.Name, stranger)},
		"another session's":          {func([]byte) []byte { return proofOf(t, free.Name, free.Name, freeKey, sessionID(8)) }},
		"another user's":             {proof(free.Name, p.Name, freeKey)},
		"another user's key":         {proof(p.Name, p.Name, freeKey)},
		"a key without its code":     {proof(p.Name, p.Name, signer)},
		"the same twice":             {proof(p.Name, p.Name, signer), proof(p.Name, p.Name, signer)},
		"a key, then a password":     {proof(p.Name, p.Name, signer), passwordOf(p.Name, p.Password)},
		"a key, then somebody else":  {proof(p.Name, p.Name, signer), interactiveOf(free.Name)},
		"somebody else after a key":  {proof(p.Name, p.Name, signer), proof(free.Name, free.Name, freeKey)},
		"a certificate unsigned":     {unsignedProofOf(free.Name, certified)},
		"a certificate, other time":  {func([]byte) []byte { return proofOf(t, free.Name, free.Name, certified, sessionID(8)) }},
		"a certificate, code due":    {proof(p.Name, p.Name, certified)},
		"a forged certificate":       {proof(free.Name, free.Name, forged)},
		"a host's certificate":       {proof(free.Name, free.Name, host)},
		"the authority's key":        {proof(free.Name, free.Name, ca)},
		"a password without a code":  {passwordOf(p.Name, p.Password)},
		"a password, then another's": {passwordOf(p.Name, p.Password), proof(free.Name, free.Name, freeKey)},
		"a wrong password":           {passwordOf(free.Name, "wrong")},
		"root":                       {passwordOf("root", "")},
		"nobody":                     {passwordOf("", "")},
		"a name of the file system":  {passwordOf("../"+free.Name, free.Password)},
	} {
		t.Run(name, func(t *testing.T) {
			// Each connection has its own, or the second proof would be no use anyway.
			fill++
			expectNothing(t, s, p, sessionID(fill), steps)
		})
	}
	t.Run("and the right ones", func(t *testing.T) {
		for _, signer := range []ssh.Signer{freeKey, certified} {
			fill++
			expectProof(t, s, free, sessionID(fill), signer)
		}
	})
}

// Only what has the sizes of exchange hashes is signed, and the first is the
// session's id for good.
func TestSFTPTakenOverSigning(t *testing.T) {
	t.Parallel()
	s := startHostile(t, "sftp-signing", "", patient)
	p := machine.NewPerson(t, "sfs")
	signer, _ := newKey(t, p)
	for _, size := range []int{0, 1, 31, 33, 65, 1000} {
		if err := take(t, s, p).sign(make([]byte, size)); err == nil {
			t.Errorf("%d bytes were signed", size)
		}
	}
	c := take(t, s, p)
	for fill := range byte(3) {
		if err := c.sign(sessionID(fill)); err != nil {
			t.Fatal(err)
		}
	}
	if outcome := c.step(proofOf(t, p.Name, p.Name, signer, sessionID(2))); outcome == messages.Accepted {
		t.Error("accepted for what was signed later")
	}
	if outcome := c.step(proofOf(t, p.Name, p.Name, signer, sessionID(0))); outcome != messages.Accepted {
		t.Errorf("expected accepted, found %d", outcome)
	}
}

// What a front that is taken over can do by itself, and with the worker of
// somebody who is in.
func TestSFTPTakenOverReach(t *testing.T) {
	t.Parallel()
	s := startHostile(t, "sftp-reach", "", patient+"fronts = 2\n")
	p, other := machine.NewPerson(t, "sfr"), machine.NewPerson(t, "sfr")
	signer, _ := newKey(t, p)
	secret := "/home/" + other.Name + "/secret"
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := take(t, s, p)
	var fronts []int
	machine.Until(t, "two fronts", func() bool {
		fronts = children(t, s, "otpgate-sftpd-front", nobody(t))
		return len(fronts) == 2
	})
	answer, _, err := c.ask(fmt.Append([]byte{0xFF}, s.PID(), " ", fronts[0], " ", fronts[1]))
	if err != nil || string(answer) != "probed: " {
		t.Errorf("the process could: %q %v", answer, err)
	}
	stderr := func(pid int) string {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid))
		must(t, err)
		return to
	}
	for _, front := range fronts {
		if to := stderr(front); to == stderr(s.PID()) {
			t.Errorf("a front writes to the service's own standard error, %s", to)
		}
	}
	if err := c.sign(sessionID(1)); err != nil {
		t.Fatal(err)
	}
	if outcome := c.step(proofOf(t, p.Name, p.Name, signer, sessionID(1))); outcome != messages.Accepted || !c.hasSession() {
		t.Fatalf("expected accepted, found %d", outcome)
	}
	open := func(path string) []byte {
		var w fields.Writer
		return append([]byte{0xFE}, w.U8(1).Text(path).U32(0).U32(0).Bytes...)
	}
	for _, path := range []string{secret, "/etc/shadow", s.Site.Users, s.Site.State + "/x", "/proc/1/environ", "/proc/" + strconv.Itoa(s.PID()) + "/mem"} {
		answer, fds, err := c.ask(open(path))
		if err != nil || fds != 0 || binary.BigEndian.Uint32(answer) == 0 {
			t.Errorf("%s was opened: %x, %d descriptors, %v", path, answer, fds, err)
		}
	}
	if answer, fds, err := c.ask(open("/home/" + p.Name + "/.ssh/authorized_keys")); err != nil || fds != 1 {
		t.Errorf("expected that one's own file is opened: %x, %v", answer, err)
	}
	worker := oneChild(t, s, "otpgate-sftpd-worker", p.UID)
	expectNotInherited(t, append(fronts, worker), stderr(s.PID()))
	forgesNoLines(t, c, p, other)
	quotesAnother(t, s, p, signer, worker)
}

// Garbage from a front ends its own connection and nothing else.
func TestSFTPTakenOverGarbage(t *testing.T) {
	t.Parallel()
	s := startHostile(t, "sftp-garbage", "", patient+"limits.startups_per_source = 100\n")
	p := machine.NewPerson(t, "sfg")
	signer, _ := newKey(t, p)
	well := take(t, s, p)
	if err := well.sign(sessionID(1)); err != nil {
		t.Fatal(err)
	}
	var long fields.Writer
	long.U8(messages.AskPassword).Text(p.Name).Text(strings.Repeat("x", 40000))
	for _, garbage := range [][]byte{
		{0}, {messages.AskSign}, {messages.AskSession}, {messages.TellOperations}, {messages.AskAnswer, 1, 0, 0, 0, 0}, {99, 1, 2, 3}, {messages.AskPassword, 0xFF, 0xFF, 0xFF, 0xFF},
		{messages.AskInteractive, 0, 0, 0, 1}, {messages.AskSign, 0, 0, 0, 1, 99, 0, 0, 0, 0, 0, 0, 0, 0}, long.Bytes, make([]byte, 60000),
	} {
		c := take(t, s, p)
		if answer, fds, err := c.ask(garbage); err == nil && (fds != 0 || answer[0] != messages.AnswerOutcome || answer[1] == messages.Accepted) {
			t.Errorf("%.20x: answered %x", garbage, answer)
		}
	}
	if outcome := well.step(proofOf(t, p.Name, p.Name, signer, sessionID(1))); outcome != messages.Accepted || !well.hasSession() {
		t.Errorf("expected that another connection goes on, found %d", outcome)
	}
}

// What a client has signed for one connection is good for that one, although
// a front that is taken over can have the same hash signed on another.
func TestSFTPTakenOverReplay(t *testing.T) {
	t.Parallel()
	s := startHostile(t, "sftp-replay", "", patient)
	p := machine.NewPerson(t, "sfp")
	signer, _ := newKey(t, p)
	id := sessionID(5)
	proof := proofOf(t, p.Name, p.Name, signer, id)
	first := take(t, s, p)
	must(t, first.sign(id))
	if outcome := first.step(proof); outcome != messages.Accepted || !first.hasSession() {
		t.Fatalf("expected accepted, found %d", outcome)
	}
	attacker := machine.NewPerson(t, "sfp")
	for range 2 {
		again := take(t, s, attacker)
		must(t, again.sign(id))
		if outcome := again.step(proof); outcome == messages.Accepted || again.hasSession() {
			t.Errorf("the proof was good for a second connection")
		}
		first.conn.Close()
	}
}
