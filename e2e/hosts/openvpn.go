package hosts

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"github.com/otpgate/otpgate/e2e/machine"
)

// OpenVPN is a server whose plugin asks PAM. What its client prints of who is in
// comes from the script that runs once the tunnel is there, and ends it.
type OpenVPN struct {
	d      *daemon
	logins atomic.Int32
}

// capabilities are those that its unit openvpn-server@.service leaves it.
const capabilities = "-all,+ipc_lock,+net_admin,+net_bind_service,+net_raw,+setgid,+setuid,+setpcap,+sys_chroot,+dac_override,+audit_write"

// StartOpenVPN starts OpenVPN with plugin, the words behind the plugin's name, and
// other lines of the server's configuration.
func StartOpenVPN(t machine.T, plugin, lines string) *OpenVPN {
	t.Helper()
	d := newDaemon(t, "openvpn")
	port, err := strconv.Atoi(d.port)
	if err != nil {
		t.Fatalf("port of OpenVPN: %v", err)
	}
	config := d.write(t, "conf", fmt.Sprintf(`local 127.0.0.1
port @PORT@
proto tcp-server
dev tun
topology subnet
server 10.%d.%d.0 255.255.255.0
ca %[3]s
cert %[3]s
key %[3]s
dh none
verify-client-cert none
username-as-common-name
setenv deferred_auth_pam 1
plugin openvpn-plugin-auth-pam.so %s
%s`, 64+port/256%64, port%256, certificate(t), plugin, lines))
	d.program(t, "up", "#!/bin/sh\necho \"$1 is in\"\nkill -TERM $PPID\n")
	d.program(t, "stay", "#!/bin/sh\nexec /sbin/ip link set \"$1\" up\n")
	d.start(t, d.listens, "setpriv", "--bounding-set", capabilities, "/usr/sbin/openvpn", "--config", config)
	return &OpenVPN{d: d}
}

// Client is its client for p, which reads name and password from a file if there is
// one, and asks on its terminal if there is none.
func (v *OpenVPN) Client(t machine.T, p *machine.Person, credentials string, options ...string) *exec.Cmd {
	t.Helper()
	return v.client(t, p, credentials, append(options, "--script-security", "2", "--up", filepath.Join(v.d.dir, "up")+" "+p.Name))
}

// Staying is a client that stays until it is thrown out. Its end of the tunnel is up, as
// the kernel sends packets through the server's: OpenVPN does nothing else while it has
// one that its device does not take, and fails an assertion if it loses its server then.
func (v *OpenVPN) Staying(t machine.T, p *machine.Person, field string, options ...string) *exec.Cmd {
	t.Helper()
	return v.client(t, p, v.credentials(t, p, field), append(options, "--script-security", "2", "--up", filepath.Join(v.d.dir, "stay")))
}

func (v *OpenVPN) credentials(t machine.T, p *machine.Person, field string) string {
	t.Helper()
	return v.d.keep(t, fmt.Sprint("login-", v.logins.Add(1)), p.Name+"\n"+field+"\n")
}

func (v *OpenVPN) client(t machine.T, p *machine.Person, credentials string, options []string) *exec.Cmd {
	t.Helper()
	args := []string{"--client", "--dev", "tun", "--proto", "tcp-client", "--remote", "127.0.0.1", v.d.port, "--local", p.Address, "--bind", "--lport", "0",
		"--ca", certificate(t), "--ifconfig-noexec", "--route-noexec", "--auth-user-pass"}
	if credentials != "" {
		args = append(args, credentials)
	}
	cmd := exec.Command("/usr/sbin/openvpn", append(args, options...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return cmd
}

// Field is the server for clients whose one field is the password with the code
// behind.
func (v *OpenVPN) Field(t machine.T) *Server {
	return &Server{Name: "openvpn", in: greeting, client: func(p *machine.Person, field string) *exec.Cmd {
		return v.Client(t, p, v.credentials(t, p, field))
	}}
}

// Output is what the server has said.
func (v *OpenVPN) Output() string { return v.d.output.String() }
