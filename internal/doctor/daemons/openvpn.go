package daemons

import (
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// openvpn looks at its plugin for PAM: which service that asks, and what it answers.
// Which of the files are started is not looked at, as that is done by hand too.
func (e *exam) openvpn() {
	for _, pattern := range []string{"/etc/openvpn/*.conf", "/etc/openvpn/server/*.conf"} {
		for _, file := range e.Machine.Glob(pattern) {
			asksAgain := e.asksAgain(file)
			for place, line := range target.Lines(e.Machine.Root, file, 0) {
				words := unit.Split(line)
				if len(words) < 3 || words[0] != "plugin" || !strings.Contains(words[1], "auth-pam") {
					continue
				}
				// The service, and pairs of a prompt and its answer, are words of one field or of several.
				if given := strings.Fields(strings.Join(words[2:], " ")); len(given) > 0 {
					found := len(e.findings)
					e.openvpnService(place, given[0], given[1:])
					if asksAgain && len(e.findings) == found {
						e.renegotiates(place, given[0])
					}
				}
			}
		}
	}
}

// asksAgain says whether a client has to log in anew while it is connected: by default
// each hour, with what was typed at first. The server's own token takes its place.
func (e *exam) asksAgain(file string) bool {
	for _, line := range target.Lines(e.Machine.Root, file, 0) {
		words := unit.Split(line)
		if len(words) > 0 && (words[0] == "auth-gen-token" || words[0] == "reneg-sec" && len(words) > 1 && words[1] == "0") {
			return false
		}
	}
	return true
}

// renegotiates is about a code that a client sends a second time.
func (e *exam) renegotiates(place pamstack.Position, service string) {
	const hour = time.Hour
	stack, err := e.Load(service)
	if err != nil || !stack.Asks() || e.Policy.SessionFor(stack.Protocol) >= hour ||
		stack.Protocol != "" && !slices.Contains(e.Policy.Protocols, stack.Protocol) {
		return
	}
	e.add(finding.At(place, finding.Finding{Severity: finding.Warning, ID: "openvpn-renegotiates", Services: []string{service},
		What:    "OpenVPN has each client log in anew every hour, and auth-gen-token is not set: the client sends the code again that it has used.",
		Follows: "Whoever gave a code is thrown out of the network after an hour, and each time it tries again.",
		Fix:     "Write auth-gen-token on a line of its own in " + place.File + ", see docs/recipes.md."}))
}

func (e *exam) openvpnService(place pamstack.Position, service string, answers []string) {
	stack, err := e.Load(service)
	if err != nil {
		return // libpam cannot read it, which is said
	}
	f := finding.Finding{Severity: finding.Warning, ID: "daemon-without-line", Services: []string{service},
		What:    "OpenVPN asks PAM for the service " + service + ", and no line of that calls " + authstack.ModuleName + ".",
		Follows: "Whoever has a password gets into the network with that alone.",
		Fix:     "otpctl pam enable " + service + ", or name a service here that has the line, see docs/recipes.md."}
	switch {
	case !stack.Asks() && service == "openvpn" && stack.File != "":
		return // it is found among the services of the network
	case !stack.Asks() && stack.File == "":
		f.What = "OpenVPN asks PAM for the service " + service + ", which has no file, so that other stands in for it."
		f.Follows = "Whoever has a password gets into the network with what other asks for, and with no code."
		f.Fix = "Write an /etc/pam.d/" + service + " with the line, see docs/recipes.md."
		if !stack.LetsIn(authstack.Outcome{Password: true, Code: authstack.NotAsked}) {
			f.Follows = "other denies everybody, so nobody gets into the network."
		}
	case stack.Asks() && !stack.AsksPassword():
		if answersCode(answers) {
			return
		}
		f.Severity, f.ID = finding.Error, "one-field-without-split"
		f.What = "OpenVPN's plugin is told of no answer to the prompt for a code, and " + service + " asks for nothing else."
		f.Follows = "Whoever needs a code is denied."
		f.Fix = `Name the prompt, for clients that have the code typed in the place of the password: "` + service + ` login USERNAME verification PASSWORD".`
	case stack.Asks() && len(stack.Splits) == 0 && !slices.Contains(answers, "OTP"):
		f.Severity, f.ID = finding.Error, "one-field-without-split"
		f.What = "OpenVPN's plugin is told of no prompt for a code, and no line of " + service + " with split takes the code off the password."
		f.Follows = "Whoever needs a code is denied."
		f.Fix = `Name the prompts: "` + service + ` login USERNAME password PASSWORD verification OTP". For clients with one field, add before the password modules: auth required ` + authstack.ModuleName + " split"
	case stack.Asks():
		return
	}
	e.add(finding.At(place, f))
}

// codePrompt is what people are asked, in small letters.
const codePrompt = "verification code: "

// answersCode says whether the plugin answers a prompt for a code where that is the only
// one. Told of no prompt, it gives the password's field to whatever is asked unseen; else
// it takes the pair whose prompt is how ours begins, and fails if there is none.
func answersCode(answers []string) bool {
	for pair := range slices.Chunk(answers, 2) {
		if len(pair) < 2 {
			return false // the plugin does not start
		}
		typed := strings.Contains(pair[1], "PASSWORD") || strings.Contains(pair[1], "OTP")
		if typed && strings.HasPrefix(codePrompt, strings.ToLower(pair[0])) {
			return true
		}
	}
	return len(answers) == 0
}
