package remote

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/remotewire"
)

// suffix is what the clients' files end in.
const suffix = ".toml"

// clientFiles looks at what the clients may.
func (e *exam) clientFiles() {
	dir := e.Settings.Gateway.Clients
	if len(existing(dir+"/*"+suffix)) == 0 {
		e.add(finding.Finding{Severity: finding.Note, ID: "no-clients", File: dir, What: "This machine is a server, and has no clients.",
			Follows: "The gateway turns everybody away.", Fix: "otpctl client add NAME KEY; or take [gateway] out and stop otpgate-gateway."})
		return
	}
	all, wrong, err := clients.All(dir)
	if err != nil {
		e.add(finding.Finding{Severity: finding.Error, ID: "client-file", File: dir, What: err.Error() + ".", Follows: refused,
			Fix: "It must belong to root, and nobody else may write it or a directory above: chown root " + dir + " && chmod 755 " + dir})
		return
	}
	for _, mistake := range wrong {
		e.badClient(mistake)
	}
	e.strays(dir)
	e.keysTwice(all)
	e.unknownUsers(all)
	e.unbounded(all)
}

// badClient is about a file that keeps its client out.
func (e *exam) badClient(mistake error) {
	f := finding.Finding{Severity: finding.Error, ID: "client-file", What: mistake.Error() + ".", Follows: "Its client has no logins decided here.",
		Fix: "Correct it: docs/remote.md has its keys. otpctl client list reads the same files."}
	for _, path := range existing(e.Settings.Gateway.Clients + "/*" + suffix) {
		if strings.Contains(mistake.Error(), path) {
			f.File = path
			f.What, f.Line = finding.Unplaced(path, mistake)+".", finding.LineIn(path, mistake)
		}
	}
	e.add(f)
}

// readable finds files that the gateway's user cannot read.
func (e *exam) readable(user target.Account) {
	for _, path := range existing(e.Settings.Gateway.Clients + "/*" + suffix) {
		if reason := user.MayNotReach(path, target.Reading); reason != "" {
			e.add(finding.Finding{Severity: finding.Error, ID: "client-file", File: path, What: "The gateway, which runs as " + user.Name + ", cannot read it: " + reason + ".",
				Follows: "Its client has no logins decided here.", Fix: "There is no secret in it: chmod 755 " + filepath.Dir(path) + " && chmod 644 " + path})
		}
	}
}

// strays are files whose names no client has.
func (e *exam) strays(dir string) {
	for _, entry := range entries(dir) {
		name, found := strings.CutSuffix(entry, suffix)
		if strings.HasPrefix(entry, ".") || found && remotewire.CheckClient(name) == nil {
			continue
		}
		e.add(finding.Finding{Severity: finding.Warning, ID: "stray-file", File: filepath.Join(dir, entry), What: "Neither gateway nor verifier looks at a file of that name.",
			Follows: "If it is a client's, that has no logins decided here.", Fix: "Name it after the client, with the ending .toml, or take it away."})
	}
}

// keysTwice finds keys that are several clients', and those that one file has twice.
func (e *exam) keysTwice(all []clients.Client) {
	of := map[config.KeyHash][]string{}
	for _, client := range all {
		for i, key := range client.Keys {
			if slices.Contains(client.Keys[:i], key) {
				e.add(finding.Finding{Severity: finding.Note, ID: "client-key-twice", File: e.file(client), What: "It has the key " + key.String() + " twice.",
					Follows: "One of the two may have been meant to be another key.", Fix: "Take one of the two out, or write the new key in its place."})
				continue
			}
			of[key] = append(of[key], client.Client)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(of), func(a, b config.KeyHash) int { return strings.Compare(a.String(), b.String()) }) {
		if names := of[key]; len(names) > 1 {
			e.add(finding.Finding{Severity: finding.Error, ID: "client-key-twice", File: clients.Path(e.Settings.Gateway.Clients, names[0]),
				What:    fmt.Sprintf("The files of %s have one key, %s.", strings.Join(names, " and "), key),
				Follows: "It is nobody's: whoever shows it is turned away.",
				Fix:     "Take it out of all but one. If machines share a key, such as copies of one image, make a key on each: otpctl client init."})
		}
	}
}

// unknownUsers finds people and groups of clients' files that this machine does not
// know.
func (e *exam) unknownUsers(all []clients.Client) {
	late := target.LookingUpFrom(e.Machine.Now)
	for _, client := range all {
		for _, selector := range client.Users {
			lookup, what, name := e.Machine.UserKnown, "user", string(selector)
			if group := selector.Group(); group != "" {
				lookup, what, name = e.Machine.GroupKnown, "group", group
			}
			if selector == config.All {
				continue
			}
			found, err := lookup(name)
			if err != nil || late() {
				f := finding.NotLookedAt(finding.Note, "whether this machine knows all whom clients may ask for", fmt.Sprintf("the %s %s could not be looked up in time", what, name))
				f.File, f.Fix = e.file(client), "See that the name service answers: getent passwd, getent group."
				e.add(f)
				return
			}
			if !found && what == "group" {
				e.add(finding.Finding{Severity: finding.Warning, ID: "client-users-unknown", File: e.file(client), What: "users names the group " + name + ", unknown to this machine.",
					Follows: "Groups are the server's: nobody is allowed by it.", Fix: "Correct the name, or take it out."})
			}
		}
	}
}

// unbounded names the clients that may do more than they need, each kind once.
func (e *exam) unbounded(all []clients.Client) {
	var anywhere, everything []string
	for _, client := range all {
		if client.Addresses == nil {
			anywhere = append(anywhere, client.Client)
		}
		if client.Services == nil && client.Users == nil {
			everything = append(everything, client.Client)
		}
	}
	dir := e.Settings.Gateway.Clients
	if len(anywhere) > 0 {
		e.add(finding.Finding{Severity: finding.Note, ID: "client-from-anywhere", File: dir, What: "Files without addresses: " + finding.Some(anywhere) + ".",
			Follows: "Whoever has such a client's key may use it from everywhere, and the gateway keeps no places for the client where it has not come from before.",
			Fix:     "Add addresses, where its connections come from."})
	}
	if len(everything) > 0 {
		e.add(finding.Finding{Severity: finding.Note, ID: "client-for-everything", File: dir, What: "Files with neither services nor users: " + finding.Some(everything) + ".",
			Follows: "Whoever takes such a client over can guess at codes of everybody, root too, until wrong_codes is reached, and have codes sent to them.",
			Fix:     "Name the PAM services that the machine has, and the people who log in there."})
	}
}

func (e *exam) file(client clients.Client) string {
	return clients.Path(e.Settings.Gateway.Clients, client.Client)
}
