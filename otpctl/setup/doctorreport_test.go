package setup

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The node exporter reads every file of its directory that ends in .prom, whenever it
// is asked: there is none but the whole one, which takes its place at once.
func TestNoHalfFigures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(watch)
	if _, err := unix.InotifyAddWatch(watch, dir, unix.IN_CREATE|unix.IN_MODIFY|unix.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "doctor.prom")
	for range 2 {
		if err := writeMetrics(path, "figures 1\n"); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "figures 1\n" {
		t.Errorf("found %q, %v", text, err)
	}
	events := make([]byte, 4096)
	n, err := unix.Read(watch, events)
	if err != nil {
		t.Fatal(err)
	}
	made, moved := 0, 0
	for left := events[:n]; len(left) > 0; {
		mask, length := binary.NativeEndian.Uint32(left[4:]), binary.NativeEndian.Uint32(left[12:])
		name := strings.TrimRight(string(left[unix.SizeofInotifyEvent:][:length]), "\x00")
		left = left[unix.SizeofInotifyEvent+length:]
		switch {
		case mask&unix.IN_MOVED_TO != 0 && name == "doctor.prom":
			moved++
		case strings.HasSuffix(name, ".prom"):
			t.Errorf("%s is there before it is whole", name)
		default:
			made++
		}
	}
	if made == 0 || moved != 2 {
		t.Errorf("this test shows nothing: %d, %d", made, moved)
	}
}
