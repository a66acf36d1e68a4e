// Package servers finds what programs that ask PAM do beside it: a password
// alone that gets in (ProFTPD, dovecot, pure-ftpd, saslauthd), or an answer of PAM's that is remembered,
// so that a used code gets in again (dovecot, saslauthd, squid).
package servers

import (
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// exam is one run.
type exam struct {
	machine  *target.Machine
	mail     Dovecot
	policy   config.Policy
	stacks   []authstack.Stack
	findings []finding.Finding
}

func (e *exam) add(f finding.Finding) { e.findings = append(e.findings, f) }

// Examine looks at the programs of the machine that ask PAM for these stacks.
func Examine(m *target.Machine, mail Dovecot, policy config.Policy, stacks []authstack.Stack) []finding.Finding {
	e := &exam{machine: m, mail: mail, policy: policy, stacks: stacks}
	e.dovecot()
	e.besidePAM()
	e.saslauthd()
	e.squid()
	e.vsftpd()
	e.pureFTPD()
	e.saslLibrary()
	e.web()
	return e.findings
}
