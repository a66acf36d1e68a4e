package hosts

import (
	"os/exec"
	"path/filepath"

	"github.com/otpgate/otpgate/e2e/machine"
)

// xServer answers what a program asks when it opens the display: there is one
// screen, no extension, and no property. From 0.10 on xrdp opens it before it says
// that somebody is in.
const xServer = `#!/usr/bin/python3 -IS
import os, socket, struct, sys, threading

def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data

def serve(connection):
    try:
        name, data = struct.unpack("<6xHH2x", exactly(connection, 12))
        exactly(connection, (name + 3 & ~3) + (data + 3 & ~3))
        format = struct.pack("<BBB5x", 24, 32, 32)
        screen = struct.pack("<IIIIIHHHHHHIBBBB", 1, 2, 0, 0, 0, 640, 480, 170, 127, 1, 1, 3, 0, 0, 24, 1)
        screen += struct.pack("<BxH4x", 24, 1) + struct.pack("<IBBHIII4x", 3, 4, 8, 256, 0xff0000, 0xff00, 0xff)
        answer = struct.pack("<IIIIHHBBBBBBBB4x", 1, 1 << 21, (1 << 21) - 1, 0, 0, 65535, 1, 1, 0, 0, 32, 32, 8, 255)
        answer += format + screen
        connection.sendall(struct.pack("<BxHHH", 1, 11, 0, len(answer) // 4) + answer)
        number = 0
        while True:
            opcode, length = struct.unpack("<BxH", exactly(connection, 4))
            exactly(connection, length * 4 - 4)
            number = number + 1 & 0xffff
            if opcode in (16, 20, 43, 98):  # InternAtom, GetProperty, GetInputFocus, QueryExtension
                connection.sendall(struct.pack("<BxH28x", 1, number))
    except (EOFError, OSError):
        pass

directory = "/tmp/.X11-unix"
try:
    os.mkdir(directory)
    os.chmod(directory, 0o1777)
except FileExistsError:
    pass
listener = socket.socket(socket.AF_UNIX)
listener.bind(directory + "/X" + sys.argv[1].lstrip(":"))
listener.listen()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
`

// StartXRDP starts xrdp's session manager, which asks PAM for the service
// xrdp-sesman. Its client is the one that comes with it and starts a session, whose
// X server shows nothing.
func StartXRDP(t machine.T) *Server {
	t.Helper()
	d := newDaemon(t, "xrdp")
	d.enters = true
	idle := d.program(t, "idle", "#!/bin/sh\nexec sleep 3600\n")
	display := d.program(t, "display", xServer)
	// From 0.10 on it listens on a socket, and has a program for each session.
	port, ready := "@PORT@", func() bool {
		return exec.Command("ip", "netns", "exec", "xrdp-"+d.port, "bash", "-c", "</dev/tcp/localhost/"+d.port).Run() == nil
	}
	if program, err := filepath.Glob("/usr/lib/*/xrdp/xrdp-sesexec"); err == nil && len(program) > 0 {
		port = "@DIR@/socket"
		ready = func() bool { return takes("unix", filepath.Join(d.dir, "socket")) }
	}
	config := d.write(t, "sesman.ini", `[Globals]
ListenAddress=0.0.0.0
ListenPort=`+port+`
EnableUserWindowManager=false
DefaultWindowManager=`+idle+`
[Security]
AllowRootLogin=false
MaxLoginRetry=4
[Sessions]
X11DisplayOffset=10
MaxSessions=50
Policy=Default
[Logging]
LogFile=@DIR@/log
LogLevel=INFO
EnableSyslog=false
[Xvnc]
param=`+display+`
`)
	// Its client finds no address where there is none but the loopback's.
	network := "xrdp-" + d.port
	machine.Command(t, "", "ip", "netns", "add", network)
	machine.Command(t, "", "ip", "-n", network, "link", "set", "lo", "up")
	machine.Command(t, "", "ip", "-n", network, "addr", "add", "fd00::1/128", "dev", "lo")
	// Sessions outlive it and keep what it writes to: a pipe would not end with it.
	d.start(t, ready, "sh", "-c", "exec ip netns exec "+network+" /usr/sbin/xrdp-sesman -n -c "+config+" >output 2>&1")
	return &Server{Name: "xrdp", in: func(*machine.Person) string { return " display=:" }, client: func(p *machine.Person, field string) *exec.Cmd {
		return exec.Command("ip", "netns", "exec", network, "/usr/bin/xrdp-sesrun", "-c", config, "-t", "Xvnc", "-p", field, p.Name)
	}}
}
