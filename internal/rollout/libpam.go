package rollout

import (
	"errors"
	"fmt"

	"github.com/msteinert/pam/v2"
)

// LibPAM is Authenticate by the machine's own library.
func LibPAM(confDir, service, user string, answer func(prompt string) (string, error)) (in bool, err error) {
	if !pam.CheckPamHasStartConfdir() {
		return false, errors.New("this machine's libpam is older than 1.4 and cannot run a service of another directory")
	}
	conversation := pam.ConversationFunc(func(style pam.Style, text string) (string, error) {
		if style == pam.PromptEchoOff || style == pam.PromptEchoOn {
			return answer(text)
		}
		return "", nil
	})
	login, err := pam.StartConfDir(service, user, conversation, confDir)
	if err != nil {
		return false, fmt.Errorf("pam_start_confdir: %w", err)
	}
	failure := login.Authenticate(0)
	return failure == nil, login.End()
}
