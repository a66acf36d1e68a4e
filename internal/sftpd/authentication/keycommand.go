package authentication

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/bounded"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/authkeys"
	"github.com/otpgate/otpgate/internal/sftpd/session"
	"github.com/otpgate/otpgate/internal/sftpd/usercert"
)

const (
	commandRule = "sftp.keys_command"
	// commandTimeout bounds how long the command may take.
	commandTimeout = 20 * time.Second
	// afterKill is how long the output of a command that was killed is waited for.
	afterKill = time.Second
	// Of its output.
	maxCommandOutput = 1 << 20
	maxCommandKeys   = 1000
	maxComplaint     = 500
)

// askCommand asks the command as sshd does its AuthorizedKeysCommand: what it
// prints is read as a person's file is. One that fails lets nobody in, whatever
// it printed.
func (l *Login) askCommand(login authkeys.Login, offered []byte) (authkeys.Grant, bool) {
	if !usercert.Is(offered) && algorithms.Signatures(kindOf(offered)) == nil {
		// It would let nobody in, and what a front calls it is no argument for a
		// program.
		return authkeys.Grant{}, false
	}
	late := time.NewTimer(commandTimeout)
	defer late.Stop()
	if !l.shared.commands.begin(l.person.UID, late.C) {
		l.Fault(commandRule, errors.New("too many questions for the person's keys are under way"))
		return authkeys.Grant{}, false
	}
	defer l.shared.commands.end(l.person.UID)
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	keys, err := runCommand(ctx, l.settings, commandArguments(l.settings.KeysCommand, l.user, *l.person, offered))
	if err != nil {
		l.Fault(commandRule, err)
		return authkeys.Grant{}, false
	}
	return authkeys.Find(keys, login)
}

// commandArguments are the command with what it is asked about, and without
// arguments of its own the person's name, as in sshd.
func commandArguments(command []string, user string, p session.Person, offered []byte) []string {
	if len(command) == 1 {
		return []string{command[0], user}
	}
	key := offered
	if usercert.Is(offered) {
		if cert, err := usercert.Parse(offered); err == nil {
			key = cert.Key // sshd's fingerprint of a certificate is of its key
		}
	}
	tokens := strings.NewReplacer("%%", "%", "%u", user, "%U", strconv.FormatUint(uint64(p.UID), 10), "%h", p.Home,
		"%t", kindOf(offered), "%k", base64.StdEncoding.EncodeToString(offered), "%f", fingerprint(key))
	arguments := make([]string, len(command))
	for i, argument := range command {
		arguments[i] = tokens.Replace(argument)
	}
	return arguments
}

// commandUser is whom the command runs as, if it may be run.
func commandUser(settings config.SFTP) (session.Person, error) {
	if err := safefile.CheckProgram(settings.KeysCommand[0]); err != nil {
		return session.Person{}, err
	}
	name := settings.KeysCommandUser
	found, known, err := nss.UserByName(name)
	switch {
	case err != nil:
		return session.Person{}, fmt.Errorf("sftp.keys_command_user: %w", err)
	case !known:
		return session.Person{}, fmt.Errorf("sftp.keys_command_user: there is no user %s; make one with useradd -r %s", name, name)
	case found.UID == 0:
		return session.Person{}, fmt.Errorf("sftp.keys_command_user: %s has uid 0; name another user", name)
	}
	groups, err := nss.GroupsOf(found)
	if err != nil {
		return session.Person{}, fmt.Errorf("sftp.keys_command_user: %w", err)
	}
	return session.Person{UID: found.UID, GID: found.GID, Home: found.Home, Groups: groups}, nil
}

// runCommand returns what the command prints. All that it started is killed
// when ctx ends.
func runCommand(ctx context.Context, settings config.SFTP, arguments []string) ([]byte, error) {
	as, err := commandUser(settings)
	if err != nil {
		return nil, err
	}
	keys, complaint := &bounded.Output{Most: maxCommandOutput}, &bounded.Output{Most: maxComplaint, Discard: true}
	cmd := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = keys, complaint, "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"USER=" + settings.KeysCommandUser, "LOGNAME=" + settings.KeysCommandUser, "HOME=" + as.Home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: as.UID, Gid: as.GID, Groups: as.Groups}}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = afterKill
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("it did not end within %v", commandTimeout)
	case keys.Truncated():
		err = fmt.Errorf("it printed more than %d bytes", maxCommandOutput)
	case err == nil && lines(keys.Bytes()) > maxCommandKeys:
		err = fmt.Errorf("it printed more than %d keys", maxCommandKeys)
	}
	if err != nil {
		said := strings.TrimSpace(string(complaint.Bytes()))
		return nil, fmt.Errorf("%s: %w; it said: %.*q; nobody is let in by what it printed", arguments[0], err, maxComplaint, said)
	}
	return keys.Bytes(), nil
}

// lines are those that may be keys.
func lines(text []byte) (n int) {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			n++
		}
	}
	return n
}
