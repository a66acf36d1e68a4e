// Package authstack is what our lines in a service's stack make of a login: all
// the ways through it, what is wrong with it by itself, and a drawing.
package authstack

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// ModuleName is the file name of the PAM module.
const ModuleName = "pam_otpgate.so"

// Stack is a service as our lines in its authentication make it.
type Stack struct {
	pamstack.Stack
	// Lines are those of authentication.
	Lines []pamstack.Line
	// Checks and Splits are the indices of our lines without and with "split".
	Checks, Splits []int
	// Protocol is what the policy calls the service, "" if it does not know.
	Protocol config.Protocol
	// byService is what it is called if no line says otherwise.
	byService config.Protocol
	// declared are the policy's own protocols.
	declared []config.Protocol
	// gone are the indices of lines whose module is not there.
	gone map[int]bool
	// answers are what is known of lines of modules that check no password.
	answers map[int]answer
}

// Ours says whether a line calls the module.
func Ours(line pamstack.Line) bool {
	return line.Kind == pamstack.Module && line.Name() == ModuleName
}

// Load reads a service.
func Load(tree pamstack.Tree, service string, settings config.Config) (Stack, error) {
	stack, err := tree.Load(service)
	if err != nil {
		return Stack{Stack: stack}, err
	}
	return Of(stack, settings).Reading(tree, Names{}), nil
}

// Of is a stack that has been read.
func Of(stack pamstack.Stack, settings config.Config) Stack {
	s := Stack{Stack: stack, Lines: stack.Lines(pamstack.Auth), Protocol: settings.Services[stack.Service], byService: settings.Services[stack.Service], declared: settings.Policy.OwnProtocols}
	for i, line := range s.Lines {
		switch {
		case !Ours(line):
		case line.Has("split"):
			s.Splits = append(s.Splits, i)
		default:
			s.Checks = append(s.Checks, i)
			if named := line.Arg("protocol"); named != "" {
				s.Protocol = config.Protocol(named)
			}
		}
	}
	return s
}

// Asks says whether the stack has any line of ours.
func (s Stack) Asks() bool { return len(s.Checks)+len(s.Splits) > 0 }

// Includers are the services with lines out of the file of this one. The error
// says that pam.d cannot be listed.
func Includers(tree pamstack.Tree, service string) (includers []string, err error) {
	file, _ := tree.Find(service)
	all, err := tree.Services()
	for _, name := range all {
		stack, err := tree.Load(name)
		has := func(line pamstack.Line) bool { return line.File == file }
		if err == nil && stack.File != file && !IsCopy(name) && slices.ContainsFunc(stack.Own(), has) {
			includers = append(includers, name)
		}
	}
	return includers, err
}

// IsCopy knows the names that editors, package tools and otpctl give to copies.
func IsCopy(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".bak") ||
		strings.HasSuffix(name, ".rpmnew") || strings.HasSuffix(name, ".rpmsave") || strings.Contains(name, ".dpkg-") ||
		strings.Contains(name, CopyInfix)
}

// CopyInfix is in the names of the copies that otpctl pam keeps.
const CopyInfix = ".before-otpgate-"
