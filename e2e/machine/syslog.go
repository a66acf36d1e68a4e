package machine

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Line is one message that somebody sent to syslog.
type Line struct {
	Facility int // LOG_AUTHPRIV is 10, see RFC 5424 section 6.2.1
	Severity int // 3 err, 4 warning, 5 notice, 6 info
	Text     string
}

// Log is the machine's syslog.
var Log = &Syslog{}

// Syslog collects what is sent to /dev/log.
type Syslog struct {
	socket *net.UnixConn
	mu     sync.Mutex
	lines  []Line // only added to
	// of has those of each user, in their order: most tests look for one's, again and
	// again, and in the end there are tens of thousands.
	of map[string][]Line
	// caughtUp has whom to tell that a datagram of Lines's own was read.
	caughtUp map[string]chan struct{}
	asked    int
}

// maxDatagram is above what syslog(3) sends.
const maxDatagram = 64 << 10

func (s *Syslog) listen() error {
	// Whoever logs waits, or gives up, while the queue of ten is full.
	if err := os.WriteFile("/proc/sys/net/unix/max_dgram_qlen", []byte("4096"), 0o644); err != nil {
		return fmt.Errorf("lengthen the queue of syslog: %w", err)
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("listen to syslog: %w", err)
	}
	if err := socket.SetReadBuffer(4 << 20); err != nil {
		return fmt.Errorf("listen to syslog: %w", err)
	}
	if err := unix.Chmod("/dev/log", 0o666); err != nil {
		return fmt.Errorf("listen to syslog: %w", err)
	}
	s.socket, s.caughtUp = socket, map[string]chan struct{}{}
	go s.collect()
	return nil
}

func (s *Syslog) collect() {
	buffer := make([]byte, maxDatagram)
	for {
		n, _, err := s.socket.ReadFromUnix(buffer)
		if err != nil {
			return
		}
		s.take(string(buffer[:n]))
	}
}

func (s *Syslog) take(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if told := s.caughtUp[text]; told != nil {
		delete(s.caughtUp, text)
		close(told)
		return
	}
	line := parseLine(text)
	s.lines = append(s.lines, line)
	if s.of == nil {
		s.of = map[string][]Line{}
	}
	for _, user := range usersIn(line.Text) {
		s.of[user] = append(s.of[user], line)
	}
}

// usersIn are the names that stand in a text as user=NAME and a space, each once.
func usersIn(text string) (names []string) {
	for {
		_, rest, found := strings.Cut(text, "user=")
		if !found {
			return names
		}
		if name, _, ended := strings.Cut(rest, " "); ended && !slices.Contains(names, name) {
			names = append(names, name)
		}
		text = rest
	}
}

// amongst are lines with all those that hold the texts, and others. The caller holds mu.
func (s *Syslog) amongst(texts []string) []Line {
	for _, text := range texts {
		if names := usersIn(text); len(names) > 0 {
			return s.of[names[0]]
		}
	}
	return s.lines
}

// catchUp waits until all is read that was sent so far, by whomever: datagrams
// are read in the order that they were sent in.
func (s *Syslog) catchUp() {
	s.mu.Lock()
	s.asked++
	mark, told := fmt.Sprintf("read up to here, %d", s.asked), make(chan struct{})
	s.caughtUp[mark] = told
	s.mu.Unlock()
	if _, err := s.socket.WriteToUnix([]byte(mark), s.socket.LocalAddr().(*net.UnixAddr)); err != nil {
		panic(fmt.Sprintf("write to the machine's own syslog: %v", err))
	}
	<-told
}

// A datagram of syslog(3) is <PRI>Mmm dd hh:mm:ss tag[pid]: text.
var datagram = regexp.MustCompile(`(?s)^<(\d{1,3})>(?:\w{3} [ \d]\d \d\d:\d\d:\d\d )?(.*)$`)

func parseLine(raw string) Line {
	raw = strings.TrimRight(raw, "\x00\n")
	parts := datagram.FindStringSubmatch(raw)
	if parts == nil {
		return Line{Facility: -1, Severity: -1, Text: raw}
	}
	priority, err := strconv.Atoi(parts[1])
	if err != nil {
		return Line{Facility: -1, Severity: -1, Text: raw}
	}
	return Line{Facility: priority >> 3, Severity: priority & 7, Text: parts[2]}
}

// Lines returns the lines, of all that were sent so far, that hold all of the
// texts.
func (s *Syslog) Lines(texts ...string) []Line {
	s.catchUp()
	return s.held(texts)
}

// held are the lines that hold all of the texts.
func (s *Syslog) held(texts []string) (found []Line) {
	s.mu.Lock()
	lines := s.amongst(texts)
	s.mu.Unlock()
	for _, line := range lines {
		if holdsAll(line.Text, texts) {
			found = append(found, line)
		}
	}
	return found
}

func holdsAll(line string, texts []string) bool {
	for _, text := range texts {
		if !strings.Contains(line, text) {
			return false
		}
	}
	return true
}

// Expect waits for a line that holds all of the texts and returns the first.
func (s *Syslog) Expect(t T, texts ...string) Line {
	t.Helper()
	var found []Line
	if err := until(Patience, func() bool { found = s.Lines(texts...); return len(found) > 0 }); err != nil {
		t.Fatalf("expected a log line with all of %q; lines with the first of them:\n%s", texts, Text(s.Lines(texts[0])))
	}
	return found[0]
}

// Text joins lines for people to read.
func Text(lines []Line) string {
	var text strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&text, "  <%d.%d> %s\n", line.Facility, line.Severity, line.Text)
	}
	return text.String()
}

// WithoutLog has a command see a machine like a container: nobody listens at
// /dev/log, and /var/log is what is in that directory.
func WithoutLog(cmd *exec.Cmd, logs string) {
	const script = `mount --bind /dev/null /dev/log && mount --bind "$0" /var/log && exec "$@"`
	cmd.Args = append([]string{"unshare", "--mount", "sh", "-c", script, logs}, cmd.Args...)
	cmd.Path = "/usr/bin/unshare"
}
