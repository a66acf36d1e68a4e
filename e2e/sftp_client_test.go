package e2e

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// sshClient is an SSH client that tries methods in any order.
type sshClient struct {
	person *machine.Person
	server *hosts.SFTPD
	// codes are the answers to the prompts for a code; the last one is given
	// again and again. Without any it does not answer.
	codes []string
	user  string // if it is not the person's
	// typing is what happens while the first code is typed.
	typing func()
	// keyOnly has it give no password.
	keyOnly bool
	// asked counts the prompts for a code, and told has all that was shown.
	asked int
	told  string
	conn  net.Conn // of the last connect
}

func (v *sshClient) challenge(_, instruction string, questions []string, _ []bool) ([]string, error) {
	v.told += instruction
	given := make([]string, len(questions))
	for i, question := range questions {
		v.told += question + "\n"
		if !strings.Contains(question, "Verification code") && !strings.Contains(question, breakGlassPrompt) {
			if v.keyOnly {
				return nil, errors.New("no password to give")
			}
			given[i] = v.person.Password
			continue
		}
		v.asked++
		if v.typing != nil && v.asked == 1 {
			v.typing()
		}
		if len(v.codes) == 0 {
			return nil, errors.New("no code to give")
		}
		given[i] = v.codes[min(v.asked, len(v.codes))-1]
	}
	return given, nil
}

// dial is a connection from the person's address.
func (v *sshClient) dial(t *testing.T) net.Conn {
	t.Helper()
	conn := v.server.Dial(t, v.person.Address)
	t.Cleanup(func() { conn.Close() })
	// The deadline is for all that the test does with it.
	if err := conn.SetDeadline(time.Now().Add(4 * machine.Patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// connect logs in by the methods in their order.
func (v *sshClient) connect(t *testing.T, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	user := v.person.Name
	if v.user != "" {
		user = v.user
	}
	v.conn = v.dial(t)
	conn, channels, requests, err := ssh.NewClientConn(v.conn, v.server.Address(), &ssh.ClientConfig{
		User: user, Auth: methods, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		BannerCallback: func(text string) error { v.told += text; return nil },
	})
	if err != nil {
		return nil, err
	}
	client := ssh.NewClient(conn, channels, requests)
	t.Cleanup(func() { client.Close() })
	return client, nil
}

// in says whether the methods lead to the person's files.
func (v *sshClient) in(t *testing.T, methods ...ssh.AuthMethod) bool {
	t.Helper()
	client, err := v.connect(t, methods...)
	if err != nil {
		v.told += fmt.Sprintf("[%v]", err)
		return false
	}
	defer client.Close()
	files, err := sftp.NewClient(client)
	if err != nil {
		v.told += fmt.Sprintf("[sftp: %v]", err)
		return false
	}
	defer files.Close()
	home, err := files.Getwd()
	v.told += fmt.Sprintf("[home %s %v]", home, err)
	return err == nil && home == "/home/"+v.person.Name
}

// methods are ssh's by name.
func (v *sshClient) methods(names []string, signer ssh.Signer, repeat int) []ssh.AuthMethod {
	return methods(names, signer, v.person.Password, v.challenge, repeat)
}
