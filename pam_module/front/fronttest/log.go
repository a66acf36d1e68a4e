package fronttest

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Log is a /dev/log of its own, for pamhost's --dev. It is read all the time: the kernel
// queues ten lines, and a front waits half a second for room, and then gives up a line.
type Log struct {
	Dev    string
	socket *net.UnixConn
	marked chan []string // what had been logged before the mark
}

// mark is sent behind what has been logged.
const mark = "mark"

// NewLog makes a directory that can stand in for /dev.
func NewLog(tb testing.TB) *Log {
	tb.Helper()
	dev := newDev(tb)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dev, "log"), Net: "unixgram"})
	if err != nil {
		tb.Fatal(err)
	}
	log := &Log{Dev: dev, socket: socket, marked: make(chan []string, 1)}
	go log.read()
	tb.Cleanup(func() {
		_ = socket.Close()
		for range log.marked {
		}
	})
	return log
}

func (l *Log) read() {
	defer close(l.marked)
	var lines []string
	buffer := make([]byte, 8192)
	for {
		size, err := l.socket.Read(buffer)
		switch text := string(buffer[:size]); {
		case err != nil:
			return
		case text == mark:
			l.marked <- lines
			lines = nil
		default:
			lines = append(lines, text)
		}
	}
}

// newDev makes a /dev without a log.
func newDev(tb testing.TB) string {
	tb.Helper()
	dev := filepath.Join(tb.TempDir(), "dev")
	if err := os.Mkdir(dev, 0o755); err != nil {
		tb.Fatal(err)
	}
	for name, minor := range map[string]int{"null": 3, "zero": 5, "urandom": 9} {
		if err := syscall.Mknod(filepath.Join(dev, name), syscall.S_IFCHR|0o666, 1<<8|minor); err != nil {
			tb.Fatal(err)
		}
	}
	return dev
}

// LogFile is a machine without a /dev/log, for pamhost.
type LogFile struct {
	Path string   // what /var/log/otpgate.log is there
	Host []string // pamhost's options
}

// NewLogFile makes an empty file with that mode; 0 makes none.
func NewLogFile(tb testing.TB, mode os.FileMode) *LogFile {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "log")
	if err := os.Mkdir(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	file := &LogFile{Path: filepath.Join(dir, "otpgate.log"), Host: []string{"--dev", newDev(tb), "--var-log", dir}}
	if mode == 0 {
		return file
	}
	if err := errors.Join(os.WriteFile(file.Path, nil, 0o600), os.Chmod(file.Path, mode)); err != nil {
		tb.Fatal(err)
	}
	return file
}

// Lines returns what has been logged since the last call.
func (l *Log) Lines(tb testing.TB) []string {
	tb.Helper()
	own, err := net.DialUnix("unixgram", nil, l.socket.LocalAddr().(*net.UnixAddr))
	if err != nil {
		tb.Fatal(err)
	}
	defer own.Close()
	if _, err := own.Write([]byte(mark)); err != nil {
		tb.Fatal(err)
	}
	return <-l.marked
}
