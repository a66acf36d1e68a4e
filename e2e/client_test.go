package e2e

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// client is an SSH client that does what OpenSSH's would not: it answers with
// any bytes of any length and tries methods in any order.
type client struct {
	person *machine.Person
	// codes are the answers to the prompts for a code; the last one is given
	// again and again.
	codes []string
	// answer is asked for the n-th code instead, if it is set.
	answer func(n int) string
	dialog machine.Dialogue
}

// challenge answers keyboard-interactive prompts.
func (c *client) challenge(_, instruction string, questions []string, _ []bool) ([]string, error) {
	given := make([]string, len(questions))
	c.dialog.Transcript += instruction
	for i, question := range questions {
		c.dialog.Transcript += question + "\n"
		if !strings.Contains(question, "Verification code") {
			c.dialog.Passwords++
			given[i] = c.person.Password
			continue
		}
		c.dialog.Codes++
		if c.answer != nil {
			given[i] = c.answer(c.dialog.Codes)
			continue
		}
		if len(c.codes) == 0 {
			return nil, errors.New("no code to give")
		}
		given[i] = c.codes[min(c.dialog.Codes, len(c.codes))-1]
	}
	return given, nil
}

// login logs in by the methods in their order and runs machine.Greet.
func (c *client) login(t *testing.T, sshd *hosts.SSHD, methods ...ssh.AuthMethod) machine.Dialogue {
	t.Helper()
	connection := sshd.Dial(t, c.person)
	defer connection.Close()
	if err := c.greet(connection, sshd, methods); err != nil {
		c.dialog.Status = 255
		c.dialog.Transcript += fmt.Sprintf("[%v]\n", err)
	}
	return c.dialog
}

func (c *client) greet(connection net.Conn, sshd *hosts.SSHD, methods []ssh.AuthMethod) error {
	secure, channels, requests, err := ssh.NewClientConn(connection, sshd.Address(), &ssh.ClientConfig{
		User: c.person.Name, Auth: methods, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return err
	}
	in := ssh.NewClient(secure, channels, requests)
	defer in.Close()
	session, err := in.NewSession()
	if err != nil {
		return err
	}
	output, err := session.CombinedOutput(machine.Greet)
	c.dialog.Transcript += string(output)
	return err
}

// loginRaw logs p in by keyboard-interactive, once, with codes as they are.
func loginRaw(t *testing.T, sshd *hosts.SSHD, p *machine.Person, codes ...string) machine.Dialogue {
	t.Helper()
	c := &client{person: p, codes: codes}
	return c.login(t, sshd, ssh.KeyboardInteractive(c.challenge))
}
