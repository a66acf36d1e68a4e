package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
)

// sshdFact is a line of "machine" about which sshd there is.
func (p *patient) sshdFact(words []string) error {
	switch words[0] {
	case "process": // PID WORD...: an sshd with that command line, or title
		return p.runs(words[1], words[2:])
	case "link": // TARGET PATH
		path := filepath.Join(p.root, words[2])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.Symlink(words[1], path)
	case "cvtsudoers": // missing
		p.machine.Sudoers = func(context.Context, []byte, string) ([]byte, error) { return nil, target.ErrNoSudoers }
		return nil
	case "sshd": // old: it has no PAMServiceName
		p.machine.SSHD = func(ctx context.Context, query target.Query) (string, error) {
			text, err := p.sshd(ctx, query)
			return strings.Replace(text, "pamservicename sshd\n", "", 1), err
		}
		return nil
	}
	return p.moreFacts(words)
}

func (p *patient) runs(id string, command []string) error {
	pid, err := strconv.Atoi(id)
	before := p.machine.Running
	file := command[0]
	if file == "sshd:" {
		file = command[1]
		command = []string{strings.Join(command, " ")}
	}
	p.machine.Running = func(program string) (all []target.Process) {
		if before != nil {
			all = before(program)
		}
		if filepath.Base(file) == program {
			all = append(all, target.Process{PID: pid, Program: file, Words: command})
		}
		return all
	}
	return err
}
