package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pinned"
)

// refused is what becomes of the logins of all clients.
const refused = "No client has its logins decided here: each asks another server, or denies everybody who is not exempt."

// server looks at a machine that decides logins of clients.
func (e *exam) server() {
	gateway := e.Settings.Gateway
	user, found, err := e.Machine.Account(gateway.User)
	switch {
	case err != nil:
		f := finding.NotLookedAt(finding.Warning, "whether the gateway's user can read what it must and no more", err.Error())
		f.Fix = "See that the name service answers: getent passwd " + gateway.User
		e.add(e.setting("user", f))
	case !found:
		e.add(e.setting("user", finding.Finding{Severity: finding.Error, ID: "gateway-user", What: "There is no user " + gateway.User + ", as whom the gateway runs.",
			Follows: "The gateway does not start. " + refused, Fix: "Install the package again, which makes it, or: useradd --system " + gateway.User}))
	default:
		e.gatewayKey(user)
		e.tooMuch(user)
		e.reachesVerifier(user)
		e.listening(expectedListener{addresses: gateway.Listen, id: "gateway-not-listening", whom: "where clients ask", uid: user.UID, who: "the user " + user.Name, follows: refused,
			fix: "systemctl enable --now otpgate-gateway; systemctl status otpgate-gateway says why it ended."})
		e.readable(user)
	}
	e.clientFiles()
}

// gatewayKey looks whether the gateway can read its key, and nobody else.
func (e *exam) gatewayKey(user target.Account) {
	path := e.Settings.Gateway.Key
	_, err := pinned.ReadKey(path)
	f := finding.Finding{Severity: finding.Error, ID: "gateway-key", File: path, Follows: refused,
		Fix: fmt.Sprintf("chown %s %s && chmod 600 %s, in a directory of that user's. If others could read it, change it: docs/remote.md.", user.Name, path, path)}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.What, f.Fix = "The gateway has no key.", "otpctl client init makes one, and prints what clients write into remote.server_keys."
	case err != nil:
		f.What = "The gateway has no key that counts: " + strings.TrimPrefix(err.Error(), path+": ") + "."
	default:
		reason := user.MayNotReach(path, target.Reading)
		if reason == "" {
			return
		}
		f.What = "The gateway, which runs as " + user.Name + ", cannot read its key: " + reason + "."
	}
	e.add(f)
}

// tooMuch finds a gateway that can read or change what it must not.
func (e *exam) tooMuch(user target.Account) {
	users, state := e.Settings.Paths.Users, e.Settings.Paths.State
	var may []string
	for _, dir := range []struct{ path, files string }{{users, users + "/*.toml"}, {state, state + "/users/*"}} {
		if !e.there(dir.path) || user.MayNotReach(dir.path, target.Searching) != "" {
			continue
		}
		if user.MayNotReach(dir.path, target.Writing) == "" {
			may = append(may, dir.path)
		} else if files := e.readableOf(user, existing(dir.files)); len(files) > 0 {
			may = append(may, files[0])
		}
	}
	may = append(may, e.readableOf(user, existing(e.Settings.Secrets.Keys...))...)
	if len(may) == 0 {
		return
	}
	e.add(e.setting("user", finding.Finding{Severity: finding.Error, ID: "gateway-reads-secrets", What: "The gateway's user, " + user.Name + ", can read or change " + strings.Join(may, ", ") + ".",
		Follows: "The gateway faces the network. Whoever takes it over can compute people's codes, or take used codes again.",
		Fix:     "Have gateway.user name a user of its own, as whom nothing else runs, and who is in no group of the verifier's: otpgate-gateway, as the package makes it. These files are their owner's alone: chmod -R go-rwx."}))
}

// there says whether there is something at a path.
func (e *exam) there(path string) bool {
	return e.Machine.Has(strings.TrimPrefix(path, e.Machine.Root))
}

func (e *exam) readableOf(user target.Account, paths []string) (may []string) {
	for _, path := range paths {
		if user.MayNotReach(path, target.Reading) == "" {
			may = append(may, path)
		}
	}
	return may
}

// reachesVerifier looks at the way from the gateway to the verifier that decides.
func (e *exam) reachesVerifier(user target.Account) {
	socket := e.Settings.Paths.Socket
	f := finding.Finding{Severity: finding.Error, ID: "gateway-without-verifier", File: socket, Follows: "Clients are told that the verifier does not answer. " + refused}
	found := e.Machine.Verifier(socket)
	reason := user.MayNotReach(socket, target.Writing)
	switch {
	case errors.Is(found.Err, fs.ErrNotExist):
		f.What, f.Fix = "No verifier listens, which is to decide the logins of clients.", "systemctl enable --now otpgate-verifierd.socket, see docs/verifier.md."
	case found.Err != nil:
		f.What, f.Fix = "No verifier answers, which is to decide the logins of clients: "+found.Err.Error()+".", "systemctl restart otpgate-verifierd.socket otpgate-verifierd"
	case reason != "" && e.there(socket):
		f.What = "The gateway, which runs as " + user.Name + ", cannot reach the verifier's socket: " + reason + "."
		f.Fix = "The socket is for everybody, and so are the directories above it: chmod 755 " + filepath.Dir(socket) + " && chmod 666 " + socket
	default:
		return
	}
	e.add(f)
}
