package remote

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pinned"
)

// client looks at a machine whose logins servers decide.
func (e *exam) client(ctx context.Context) {
	e.leftOver()
	var looks []answer
	switch usable := e.clientKey(); {
	case usable && e.Ask != nil:
		looks = e.Ask(ctx, *e.Settings.Remote)
		e.answers(looks)
	case usable: // without a key none can be asked, which was said
		f := finding.NotLookedAt(finding.Note, "whether the servers of this client answer, know its key and have one ledger", "--offline was given")
		f.Fix = "Run otpctl doctor without --offline."
		e.add(e.setting("servers", f))
	}
	e.unitAllows(looks)
	e.oneServer(looks)
	e.connected()
	e.breakGlass(ctx)
}

// connected looks at a client to which servers connect. Its verifier has their
// connections, so that nobody else can ask over them.
func (e *exam) connected() {
	if e.Settings.Remote.Listen == nil {
		return
	}
	f := finding.NotLookedAt(finding.Note, "whether servers that connect to this client take its logins", "the verifier has their connections")
	f.Fix = "Log in once with a code; rule=remote in the log says what is wrong."
	e.add(e.setting("listen", f))
	// The verifier's user has the key, or root does. Anybody can take the port while the
	// verifier is down.
	var key unix.Stat_t
	if err := unix.Stat(e.Settings.Remote.Key, &key); err != nil {
		return // that the key is missing is said elsewhere
	}
	e.listening(expectedListener{addresses: e.Settings.Remote.Listen, id: "verifier-not-listening", whom: "to which servers connect",
		uid: key.Uid, who: "the owner of " + e.Settings.Remote.Key,
		follows: "Servers that connect to this client decide none of its logins.",
		fix:     "systemctl restart otpgate-verifierd; systemctl status otpgate-verifierd says why it does not listen."})
}

// denied is what becomes of logins that no server decides.
const denied = "Everybody is denied who is not in policy.exempt or policy.trusted_networks."

// clientKey reads the key by which servers know the client.
func (e *exam) clientKey() (usable bool) {
	path := e.Settings.Remote.Key
	_, err := pinned.ReadKey(path)
	if err == nil {
		return true
	}
	f := finding.Finding{Severity: finding.Error, ID: "client-key", File: path, What: "This client has no key that counts: " + strings.TrimPrefix(err.Error(), path+": ") + ".",
		Follows: "No server can be asked. " + denied,
		Fix:     "It must belong to root or the verifier's user, with mode 0600, as otpctl client init writes it. If others could read it: take it out of the client's file on each server, remove it, and make another one."}
	if errors.Is(err, fs.ErrNotExist) {
		f.What, f.Fix = "This client has no key.", "otpctl client init makes one and says what to list of it; on each server: otpctl client add NAME KEY."
	}
	e.add(f)
	return false
}

// leftOver finds what a client has no use for, and whoever breaks into it has.
func (e *exam) leftOver() {
	users, ledger := e.Settings.Paths.Users, filepath.Join(e.Settings.Paths.State, "users")
	f := finding.Finding{Severity: finding.Warning, ID: "left-over"}
	if found := existing(users + "/*.toml"); len(found) > 0 {
		f.File, f.What = users, "This machine is a client, and has "+finding.Count(len(found), "secret file")+"."
		f.Follows = "They count for nothing here, and whoever breaks into the machine can compute the codes of these people, which the servers may take."
		f.Fix = "Once the servers have them: shred -u " + users + "/*.toml. Enroll people anew whose files were where they should not have been."
		e.add(f)
	}
	if found := existing(e.Settings.Secrets.Keys...); len(found) > 0 {
		f.File, f.What = found[0], "This machine is a client, and has a key that encrypts secret files."
		f.Follows = "It counts for nothing here, and whoever breaks into the machine can read secret files and backups that are encrypted with it."
		f.Fix = "Once the servers have it: shred -u " + found[0] + ", and take secrets.keys out of " + e.Path + ". If it should not have been here, change the key: docs/secrets.md."
		e.add(f)
	}
	if found := entries(ledger); len(found) > 0 {
		f.File, f.What = ledger, "This machine is a client, and has a ledger of its own with "+finding.Count(len(found), "entry", "entries")+"."
		f.Follows = "It counts for nothing: the servers' ledger does. Were [remote] taken out, codes would be good here that were used meanwhile on a server."
		f.Fix = "Once no server is to have it: rm -r " + ledger
		e.add(f)
	}
}

// oneServer finds a client that has nobody to turn to if its server fails.
func (e *exam) oneServer(looks []answer) {
	f := finding.Finding{Severity: finding.Note, ID: "one-server", Fix: "Add a second server that shares the first one's secret files and ledger: docs/remote.md."}
	if servers := e.Settings.Remote.Servers; len(servers) == 1 && e.Settings.Remote.Listen == nil {
		f.What, f.Follows = "This client has one server, "+servers[0]+".", "While that is down, everybody is denied who is not exempt."
		e.add(e.setting("servers", f))
	}
	for i, look := range looks {
		for _, other := range looks[:i] {
			if look.Err == nil && other.Err == nil && look.Key == other.Key {
				f.What = look.Server + " and " + other.Server + " show the same key: they are one machine, or one has a copy of the other's key."
				f.Follows = "If they are one, nobody is left when it fails. A copy of a key cannot be taken back by itself."
				f.Fix = "Name each server once, and give each a key of its own: otpctl client init."
				e.add(e.setting("servers", f))
				return
			}
		}
	}
}
