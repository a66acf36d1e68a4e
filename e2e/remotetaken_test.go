package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// takenClient is a client of a server whose key somebody has, who speaks the frames himself.
type takenClient struct {
	server *machine.Server
	key    *pinned.Key
}

func takeOver(t *testing.T, client machine.Site, server *machine.Server) takenClient {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(client.Config), "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := pinned.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return takenClient{server, key}
}

func (c takenClient) dial(t *testing.T) *tls.Conn {
	t.Helper()
	bare, err := net.Dial("tcp", c.server.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bare.Close() })
	if err := bare.SetDeadline(time.Now().Add(machine.Patience)); err != nil {
		t.Fatal(err)
	}
	return pinned.Client(bare, c.key, func(config.KeyHash) error { return nil })
}

// take asks whether the server takes a login.
func (c takenClient) take(t *testing.T, conn net.Conn) remotewire.Answer {
	t.Helper()
	if err := remotewire.WriteTake(conn, remotewire.Take{ID: remotewire.NewID()}); err != nil {
		t.Fatal(err)
	}
	answer, err := remotewire.ReadAnswer(conn)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// said is all that somebody learns in a login.
type said struct {
	prompts []string
	outcome remotewire.Outcome
}

// Ask implements remotewire.Person: a wrong code.
func (s *said) Ask(_ wire.Style, text string) (wire.Reply, error) {
	s.prompts = append(s.prompts, text)
	return wire.Reply{Status: wire.Answered, Text: "000000"}, nil
}

// Tell implements remotewire.Person.
func (s *said) Tell(_ wire.Style, text string) error {
	s.prompts = append(s.prompts, text)
	return nil
}

// Tail implements remotewire.Person: the password has such an end.
func (s *said) Tail(n, group int, _ string) (string, bool, error) {
	s.prompts = append(s.prompts, fmt.Sprint("an end of ", n, " in groups of ", group))
	return strings.Repeat("0", n), true, nil
}

// beginTaken goes on with a login that was taken, as it says by root's program.
func beginTaken(t *testing.T, conn net.Conn, start wire.Start) {
	t.Helper()
	start.RemoteHost, start.Timeout = "192.0.2.77", 2*time.Minute
	if err := remotewire.WriteBegin(conn, remotewire.Begin{Start: start, Names: []string{start.User}, Program: remotewire.RootProgram}); err != nil {
		t.Fatal(err)
	}
}

// login is a whole login.
func (c takenClient) login(t *testing.T, start wire.Start) said {
	t.Helper()
	conn := c.dial(t)
	defer conn.NetConn().Close()
	if answer := c.take(t, conn); !answer.Taken {
		t.Fatalf("%+v", answer)
	}
	beginTaken(t, conn, start)
	var s said
	var err error
	if s.outcome, err = remotewire.Relay(conn, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// flood begins many logins, and says how many were taken.
func (c takenClient) flood(t *testing.T, user string) (takes int) {
	t.Helper()
	for range 30 {
		conn := c.dial(t)
		if c.take(t, conn).Taken {
			takes++
			// At its prompt it stays open, where one that was only taken soon ends.
			beginTaken(t, conn, wire.Start{User: user, Service: "sshd", Protocol: "ssh"})
		}
	}
	return takes
}

// Whoever has a client's key learns of nobody whom its file does not name whether they
// are enrolled or exist, enrolls nobody, and keeps no other client out.
func TestRemoteClientTakenOver(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "r-over-s", "[policy]\nrequire = [\"@all\"]\nunenrolled = \"enroll\"\ngrace = \"90d\"\n")
	mine, enrolled := machine.NewPerson(t, "mine"), machine.NewPerson(t, "rem").Enroll(t, server.Users)
	plain, nobody, asked := machine.NewPerson(t, "plain"), machine.WithoutUser("nobody"), machine.WithoutUser("asked").Enroll(t, server.Users)
	few := func(c *clients.Client) { c.Dialogues, c.PerMinute = 10, 100000 }
	client := machine.NewClient(t, "r-over", machine.Client{May: []string{"--users=" + mine.Name + "," + asked.Name, "--services=sshd,vsftpd"}, Change: few}, server)
	other := machine.NewClient(t, "r-over-other", machine.Client{}, server)
	other.CodeOnly(t, other.Name, "protocol=ssh")
	attacker := takeOver(t, client, server)

	t.Run("names", func(t *testing.T) {
		for name, start := range map[string]wire.Start{
			"asked":           {Service: "sshd", Protocol: "ssh"},
			"split":           {Service: "vsftpd", Protocol: "ftp", Split: true},
			"another service": {Service: "sudo", Protocol: "sudo"},
		} {
			var of []said
			for _, p := range []*machine.Person{enrolled, plain, nobody} {
				start.User = p.Name
				of = append(of, attacker.login(t, start))
			}
			if !reflect.DeepEqual(of[0], of[1]) || !reflect.DeepEqual(of[0], of[2]) {
				t.Errorf("%s: told %+v of who is enrolled, %+v of who is not, %+v of who does not exist", name, of[0], of[1], of[2])
			}
			if of[0].outcome.Verdict == wire.Accept || len(of[0].prompts) > 1 {
				t.Errorf("%s: %+v", name, of[0])
			}
		}
	})
	t.Run("enrollment", func(t *testing.T) {
		got := attacker.login(t, wire.Start{User: mine.Name, Service: "sshd", Protocol: "ssh"})
		if got.outcome.Verdict != wire.Deny {
			t.Errorf("%+v, expected a denial", got.outcome)
		}
		for _, text := range got.prompts {
			if strings.Contains(text, "otpauth") || strings.Contains(text, "key") {
				t.Errorf("told %q", text)
			}
		}
		if _, err := os.Stat(filepath.Join(server.Users, mine.Name+".toml")); !os.IsNotExist(err) {
			t.Errorf("secret file: %v", err)
		}
	})
	t.Run("flood", func(t *testing.T) {
		if takes := attacker.flood(t, asked.Name); takes != 10 {
			t.Errorf("%d logins were taken, expected 10", takes)
		}
		machine.Log.Expect(t, "client=r-over ", "verdict=turned-away", "rule=client.dialogues")
		if !remoteLogin(t, other, enrolled, enrolled.Code(t, 0)) {
			t.Errorf("not in from another client:\n%s", machine.Text(machine.Log.Lines("user="+enrolled.Name+" ")))
		}
	})
}

// A process with the gateway's uid reads and changes nothing that is the verifier's or a
// person's, and the verifier's socket takes it for nothing but the gateway.
func TestRemoteGatewayTakenOver(t *testing.T) {
	t.Parallel()
	const name = "r-gateway-s"
	server := machine.NewServer(t, name, keysTable(name, "key"))
	key := makeKey(t, server.Site, "key")
	p := machine.WithoutUser("rem").Enroll(t, server.Users)
	client := machine.NewClient(t, "r-gateway", machine.Client{}, server)
	client.CodeOnly(t, client.Name, "protocol=ssh")
	if !remoteLogin(t, client, p, p.Code(t, 0)) {
		t.Fatal("not in")
	}
	as := func(script string, args ...string) bool {
		cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: machine.GatewayCredential(t)}
		return cmd.Run() == nil
	}
	dir, pid := filepath.Dir(server.Config), fmt.Sprint(server.Verifier.PID())
	// What it needs, so that a script that can do nothing is noticed.
	for _, path := range []string{server.Config, dir + "/clients/r-gateway.toml"} {
		if !as(`head -c1 "$1" | grep -q .`, path) {
			t.Errorf("it cannot read %s", path)
		}
	}
	secret := filepath.Join(server.Users, p.Name+".toml")
	for _, path := range []string{secret, key, "/proc/" + pid + "/mem", "/proc/" + pid + "/environ"} {
		if as(`exec 3<"$1"`, path) {
			t.Errorf("it can read %s", path)
		}
	}
	for _, path := range []string{server.Users, server.State, filepath.Dir(key)} {
		if as(`ls "$1"`, path) {
			t.Errorf("it can list %s", path)
		}
	}
	for _, path := range []string{server.Config, secret, dir + "/clients/r-gateway.toml", dir + "/clients/new", dir + "/new", filepath.Dir(server.Socket) + "/new", "/etc/pam.d/new"} {
		if as(`exec 3>>"$1"`, path) {
			t.Errorf("it can write %s", path)
		}
	}
	if as(`rm "$1" || mv "$1" "$1.old"`, server.Socket) {
		t.Error("it can take the socket away")
	}
	if as(`kill -0 "$1"`, pid) {
		t.Error("it can signal the verifier")
	}
	if !remoteLogin(t, client, p, p.Code(t, 1)) {
		t.Errorf("not in afterwards:\n%s", machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
}

// A listed key gets nowhere by TLS 1.2, nor where it says that it speaks another
// protocol.
func TestRemoteOldTLS(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "r-tls-s", "")
	client := machine.NewClient(t, "r-tls", machine.Client{}, server)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(client.Config), "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	certificate := certificateOf(t, text)
	for name, test := range map[string]struct {
		change func(*tls.Config)
		says   string
	}{
		"TLS 1.2":          {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "unsupported versions"},
		"another protocol": {func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "application protocol"},
		"no key":           {func(c *tls.Config) { c.Certificates = nil }, "didn't provide a certificate"},
	} {
		// Each from an address of its own, so that each line is known.
		from := &net.TCPAddr{IP: net.ParseIP(machine.WithoutUser("tls").Address)}
		settings := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"otpgate/1"}, InsecureSkipVerify: true}
		test.change(settings)
		bare, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", server.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer bare.Close()
		if err := bare.SetDeadline(time.Now().Add(machine.Patience)); err != nil {
			t.Fatal(err)
		}
		conn := tls.Client(bare, settings)
		// By TLS 1.3 a client's handshake is done before the server has looked at its key.
		err = remotewire.WriteTake(conn, remotewire.Take{ID: remotewire.NewID()})
		if err == nil {
			_, err = remotewire.ReadAnswer(conn)
		}
		if err == nil {
			t.Errorf("%s: answered", name)
		}
		machine.Log.Expect(t, "remote="+from.IP.String()+" ", "verdict=turned-away", "rule=gateway.handshake", test.says)
	}
}

// certificateOf makes the certificate of a key as otpctl client init writes it.
func certificateOf(t *testing.T, text []byte) tls.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key := parsed.(ed25519.PrivateKey)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
