package main

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pquerna/otp"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// terminal COLUMNSxLINES DIALOGUE ARGUMENT... runs otpctl with the private
// configuration on a terminal of that size and holds the dialogue of a file,
// of these lines:
//
//	see TEXT       wait until TEXT is shown
//	type TEXT      type it, and Enter
//	code SECONDS   type the code that the URI on the screen has then, and Enter
//	sent           type the code that was sent last, and Enter
//	wrong          type a code that is none of those, and Enter
//	press ctrl-c   or ctrl-d
//	status N       wait for the end, with that exit status
//
// What was shown is left in the file screen.
func onTerminal(ts *testscript.TestScript, _ bool, args []string) {
	var size unix.Winsize
	columns, rows, _ := strings.Cut(args[0], "x")
	size.Col, size.Row = number(ts, columns), number(ts, rows)
	master, slave, err := openTerminal(size)
	ts.Check(err)
	defer master.Close()
	binary, err := exec.LookPath("otpctl")
	ts.Check(err)
	c := exec.Command(binary, append([]string{"--config", ts.MkAbs("otpgate.toml")}, args[2:]...)...)
	c.Dir, c.Stdin, c.Stdout, c.Stderr = ts.MkAbs("."), slave, slave, slave
	for _, name := range []string{"CLOCK", "TZ", "AUTHPRIV", "POST", "TERM", "PEOPLE", "NO_COLOR", "PATH", "GORACE"} {
		c.Env = append(c.Env, name+"="+ts.Getenv(name))
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(c.Start())
	slave.Close()
	d := &dialogue{ts: ts, terminal: master, process: c, shown: make(chan string)}
	go d.read()
	timeout := time.AfterFunc(5*time.Minute, func() { _ = c.Process.Kill() })
	defer timeout.Stop()
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		d.step(strings.TrimSuffix(line, "\n"))
	}
	ts.Check(os.WriteFile(ts.MkAbs("screen"), []byte(d.screen), 0o600))
}

func number(ts *testscript.TestScript, text string) uint16 {
	n, err := strconv.ParseUint(text, 10, 16)
	ts.Check(err)
	return uint16(n)
}

func openTerminal(size unix.Winsize) (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size); err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile(filepath.Join("/dev/pts", strconv.Itoa(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	return master, slave, keepOutput(int(slave.Fd()))
}

// keepOutput has ctrl-c leave alone what is on its way to the screen. The
// kernel sends the signal first and then throws output away, and with it, on a
// busy machine, what the command says about the signal.
func keepOutput(fd int) error {
	settings, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	settings.Lflag |= unix.NOFLSH
	return unix.IoctlSetTermios(fd, unix.TCSETS, settings)
}

type dialogue struct {
	ts       *testscript.TestScript
	terminal *os.File
	process  *exec.Cmd
	shown    chan string
	screen   string
	seen     int // how much of the screen earlier steps have waited for
}

func (d *dialogue) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := d.terminal.Read(buffer)
		if n > 0 {
			d.shown <- string(buffer[:n])
		}
		if err != nil { // EIO once the other side is closed
			close(d.shown)
			return
		}
	}
}

var keys = map[string]string{"ctrl-c": "\x03", "ctrl-d": "\x04"}

var uriOnScreen = regexp.MustCompile(`otpauth://\S+`)

func (d *dialogue) step(line string) {
	what, text, _ := strings.Cut(line, " ")
	switch what {
	case "see":
		d.see(text)
	case "type":
		d.typeIn(text + "\n")
	case "sent":
		setSent(d.ts, false, []string{"SENT"})
		d.typeIn(d.ts.Getenv("SENT") + "\n")
	case "wrong":
		var secrets []string
		if uri := uriOnScreen.FindString(d.screen); uri != "" {
			key, err := otp.NewKeyFromURL(uri)
			d.ts.Check(err)
			secrets = append(secrets, key.Secret())
		}
		n := 0
		for right := rightCodes(d.ts, secrets); right[sixDigits(n)]; n++ {
			continue
		}
		d.typeIn(sixDigits(n) + "\n")
	case "press":
		d.typeIn(keys[text])
	case "code":
		seconds, err := strconv.Atoi(text)
		d.ts.Check(err)
		at := clock(d.ts.Getenv).Add(time.Duration(seconds) * time.Second)
		d.typeIn(codeOf(d.ts, uriOnScreen.FindString(d.screen), at) + "\n")
	case "status":
		for part := range d.shown {
			d.screen += part
		}
		if got := statusOf(d.ts, d.process.Wait()); strconv.Itoa(got) != text {
			d.ts.Fatalf("exit status %d, want %s; screen:\n%s", got, text, d.screen)
		}
	default:
		d.ts.Fatalf("no step %q", line)
	}
}

func (d *dialogue) see(text string) {
	for {
		if at := strings.Index(d.screen[d.seen:], text); at >= 0 {
			d.seen += at + len(text)
			return
		}
		part, more := <-d.shown
		if !more {
			d.ts.Fatalf("%q was not shown; screen:\n%s", text, d.screen)
		}
		d.screen += part
	}
}

func (d *dialogue) typeIn(text string) {
	_, err := d.terminal.WriteString(text)
	d.ts.Check(err)
}

// snap SCREEN PICTURE draws the blocks of a screen as a phone's camera sees
// them.
func snap(ts *testscript.TestScript, _ bool, args []string) {
	// On a dark terminal a block is light unless black on white is set.
	var rows [][2][]bool // for each line its upper and lower half: what is dark
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		line = strings.TrimRight(line, "\r\n")
		plain := escapes.ReplaceAllString(line, "")
		if strings.Trim(plain, " ▀▄█") != "" || len([]rune(plain)) < 21 {
			continue
		}
		light := strings.HasPrefix(line, "\x1b[38;5;16;48;5;231m")
		var upper, lower []bool
		for _, r := range plain {
			upper = append(upper, (r == '▀' || r == '█') == light)
			lower = append(lower, (r == '▄' || r == '█') == light)
		}
		rows = append(rows, [2][]bool{upper, lower})
	}
	if len(rows) == 0 {
		ts.Fatalf("%s shows no QR code", args[0])
	}
	ts.Check(savePNG(ts.MkAbs(args[1]), rows))
}

var escapes = regexp.MustCompile(`\x1b\[[0-9;]*m`)

func savePNG(path string, rows [][2][]bool) error {
	const scale, room = 6, 10
	picture := image.NewGray(image.Rect(0, 0, (len(rows[0][0])+2*room)*scale, (2*len(rows)+2*room)*scale))
	for y := range picture.Rect.Dy() {
		for x := range picture.Rect.Dx() {
			row, column := y/scale-room, x/scale-room
			// Around the code is the dark terminal.
			if row >= 0 && row < 2*len(rows) && column >= 0 && column < len(rows[0][0]) && !rows[row/2][row%2][column] {
				picture.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return png.Encode(file, picture)
}
