package audit

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nowhere is a machine on which nobody listens, with a file as root makes it.
func nowhere(t *testing.T) Syslog {
	t.Helper()
	dir := t.TempDir()
	sink := Syslog{Path: filepath.Join(dir, "absent"), File: filepath.Join(dir, "otpgate.log"),
		Now: func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }}
	if err := os.WriteFile(sink.File, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return sink
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What many say at once are whole lines, by whichever way the log is kept.
func TestFileWithoutALog(t *testing.T) {
	sink := nowhere(t)
	kept := sink
	if err := kept.Keep(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 50 {
		for _, s := range []Syslog{sink, kept} {
			all.Go(func() { s.Write(Record{User: "alice\nroot", Verdict: "denied"}) })
			all.Go(func() { s.Event(Event{User: "bob", Path: strings.Repeat("x", 5000)}) })
		}
	}
	all.Wait()
	lines := strings.SplitAfter(read(t, sink.File), "\n")
	for _, line := range lines[:len(lines)-1] {
		if !strings.HasPrefix(line, "Mar  4 05:06:07 otpgate[") || strings.Count(line, "user=") != 1 {
			t.Errorf("%q", line)
		}
	}
	if len(lines) != 201 || lines[200] != "" {
		t.Errorf("%d lines, and %q behind the last", len(lines)-1, lines[len(lines)-1])
	}
}

// Where the system's log takes lines, the file gets none.
func TestFileBesideALog(t *testing.T) {
	sink := nowhere(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: sink.Path}); err != nil {
		t.Fatal(err)
	}
	if err := sink.Check(); err != nil {
		t.Errorf("somebody listens, and the check says %v", err)
	}
	sink.Write(Record{User: "alice"})
	if text := read(t, sink.File); text != "" {
		t.Errorf("the file has %q", text)
	}
	if err := os.Remove(sink.Path); err != nil {
		t.Fatal(err)
	}
	if err := sink.Check(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("nobody listens, and the check says %v", err)
	}
}

// What could be somebody else's is not written to, nor made; a daemon then says
// it on its standard error.
func TestFileOfOthers(t *testing.T) {
	for name, row := range map[string]struct {
		make func(path, other string) error
		want string
	}{
		"none":             {func(path, _ string) error { return os.Remove(path) }, "no such file"},
		"others may write": {func(path, _ string) error { return os.Chmod(path, 0o620) }, "expected mode 0640 or less, found 0620"},
		"others may read":  {func(path, _ string) error { return os.Chmod(path, 0o644) }, "expected mode 0640 or less, found 0644"},
		"somebody's":       {func(path, _ string) error { return os.Chown(path, 1000, 0) }, "expected a file of root's, found one of uid 1000"},
		"a second name":    {func(path, other string) error { return errors.Join(os.Remove(other), os.Link(path, other)) }, "found one with 2"},
		"a link":           {func(path, other string) error { return errors.Join(os.Remove(path), os.Symlink(other, path)) }, "too many levels of symbolic links"},
		"a FIFO":           {func(path, _ string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) }, "no such device"},
		"a directory":      {func(path, _ string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			sink := nowhere(t)
			other := filepath.Join(filepath.Dir(sink.File), "other")
			if err := errors.Join(os.WriteFile(other, nil, 0o600), row.make(sink.File, other)); err != nil {
				t.Fatal(err)
			}
			if err := CheckFile(sink.File); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("the check says %v, expected %q in it", err, row.want)
			}
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			defer writer.Close()
			sink.Write(Record{User: "lost"})
			sink.Fallback = NewStream(int(writer.Fd()))
			sink.Fallback.patience = time.Minute
			sink.Write(Record{User: "alice"})
			line, err := bufio.NewReader(reader).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "Mar  4 05:06:07 otpgate[") || !strings.HasSuffix(line, "]: user=alice\n") {
				t.Errorf("%q, %v", line, err)
			}
			entries, err := os.ReadDir(filepath.Dir(sink.File))
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if info, err := entry.Info(); err != nil || info.Mode().IsRegular() && info.Size() > 0 {
					t.Errorf("%s: %v, %v", entry.Name(), info, err)
				}
			}
		})
	}
}

// Who reads a daemon's standard error slowly gets long lines whole; who does not
// read at all, or is gone, holds up nobody for long.
func TestStream(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stream := NewStream(int(writer.Fd()))
	stream.patience = time.Minute
	long := strings.Repeat("x", 200<<10) + "\n"
	written := make(chan error, 1)
	go func() { written <- stream.write(long) }()
	if line, err := bufio.NewReader(reader).ReadString('\n'); line != long || err != nil {
		t.Errorf("%d of %d bytes, %v", len(line), len(long), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	stream.patience = 20 * time.Millisecond
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := stream.write(long); !errors.Is(err, unix.EAGAIN) {
				t.Errorf("nobody reads, and the write says %v", err)
			}
		})
	}
	all.Wait()
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if err := stream.write("x\n"); !errors.Is(err, unix.EPIPE) {
		t.Errorf("nobody is there to read, and the write says %v", err)
	}
	writer.Close()
}

// A disk that fills up in the middle of a line has the whole line said elsewhere.
func TestFileOnAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("running without root, which a small disk needs")
	}
	sink := nowhere(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	sink.Fallback = NewStream(int(writer.Fd()))
	sink.Fallback.patience = time.Minute
	failed := make(chan error)
	go func() {
		// The mount is this thread's, which ends here.
		runtime.LockOSThread()
		dir := filepath.Dir(sink.File)
		err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("small", dir, "tmpfs", 0, "size=8k"), os.WriteFile(sink.File, make([]byte, 8100), 0o600))
		if err == nil {
			sink.Write(Record{User: strings.Repeat("a", 200)})
		}
		failed <- err
	}()
	err = <-failed
	writer.Close() // nothing more is to be read
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil || !strings.Contains(line, "user="+strings.Repeat("a", 200)) {
		t.Errorf("%q, %v", line, err)
	}
}
