package e2e

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// linkClients are programs with the arguments ADDRESS PORT USER KEY PASSWORD
// CODE: see testdata/libssh.c. Each names a link before its target to servers
// that do not call themselves OpenSSH, and the target first to those that do.
var linkClients = map[string]func(c *scene, args ...string) string{
	"asyncssh": func(c *scene, args ...string) string {
		c.write("client.py", strings.ReplaceAll(asyncssh, "PATIENCE", machine.Seconds(machine.Patience)), 0o644)
		// It warns of ciphers that it knows.
		return c.run("/usr/bin/python3", append([]string{"-W", "ignore", "client.py"}, args...)...)
	},
	"libssh": func(c *scene, args ...string) string { return c.run(machine.Files+"/libssh", args...) },
}

const asyncssh = `
import asyncio, sys
import asyncssh
address, port, user, key, password, code = sys.argv[1:]
class Client(asyncssh.SSHClient):
    def kbdint_auth_requested(self):
        return ""
    def kbdint_challenge_received(self, name, instructions, lang, prompts):
        return [password if "assword" in prompt else code for prompt, echo in prompts]
async def main():
    async with asyncssh.connect("127.0.0.1", int(port), local_addr=(address, 0), username=user, known_hosts=None, config=[],
            agent_path=None, client_keys=[key] if key else [], client_factory=Client, login_timeout=PATIENCE) as connection:
        async with connection.start_sftp_client() as s:
            await s.symlink("two", "link")
            print("link:", await s.readlink("link"))
            await s.put("sent", "one")
            await s.rename("one", "two")
            await s.get("two", "back")
asyncio.run(main())
`

// A symbolic link is made as its client means it, which OpenSSH's server shows,
// although these clients send both names in another order to it.
func TestSFTPLinksOfOtherLibraries(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-links", "", "")
	machine.WriteService(t, "sftp-links-sshd", "@include common-auth\n@include common-account\n@include common-session\n")
	sshd := hosts.StartSSHD(t, "sftp-links-sshd", "Subsystem sftp internal-sftp")
	for name, client := range linkClients {
		for _, way := range []string{"password and code", "key and code", "sshd"} {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				c := newScene(t, s, "slk")
				port, key, code := s.Port, c.key, c.person.Code(t, 0)
				switch way {
				case "password and code":
					key = ""
				case "sshd":
					port = sshd.Port
				}
				if out := client(c, c.person.Address, strconv.Itoa(port), c.person.Name, key, c.person.Password, code); out != "link: two\n" {
					t.Errorf("expected the target that was asked for, found %q", out)
				}
				if target, err := os.Readlink(c.home("link")); err != nil || target != "two" {
					t.Errorf("expected a link to two, found %q, %v", target, err)
				}
				c.same(c.home("link"))
				c.same(c.dir + "/back")
				if way != "sshd" {
					expectAudit(t, c.person, "verdict=accepted", "rule=totp:phone")
				}
			})
		}
	}
}
