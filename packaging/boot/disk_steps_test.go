package boot_test

import (
	"strings"
	"testing"
)

// smallDisk puts a small file system of its own under the ledger, with what was
// in it, and the other way round when the step ends.
func (w *walk) smallDisk(t *testing.T) {
	t.Helper()
	const stop = "systemctl stop " + socket + " " + service + " 2>&1; "
	w.run(t, stop+`mkdir -p /mnt/small && mount -t tmpfs -o size=2m,mode=700 tmpfs /mnt/small && cp -a /var/lib/otpgate/. /mnt/small/ &&
		chown --reference=/var/lib/otpgate /mnt/small && mount --bind /mnt/small /var/lib/otpgate && systemctl start `+socket)
	t.Cleanup(func() {
		// The core of a login that is over may have its files open for another moment.
		w.run(t, "mount -o remount,rw /mnt/small; rm -f /var/lib/otpgate/filler; "+stop+`umount --lazy /var/lib/otpgate && cp -a /mnt/small/. /var/lib/otpgate/ &&
			umount --lazy /mnt/small && systemctl start `+socket)
	})
}

// ways are the verifier, and sshd's own core where there is none.
var ways = []string{"systemctl start " + socket, "systemctl stop " + socket + " " + service + " 2>&1"}

// cannotKeep expects that bob's right code is refused either way, and that the
// log says why.
func (w *walk) cannotKeep(t *testing.T, why string) {
	t.Helper()
	for _, way := range ways {
		w.run(t, way)
		mark := w.mark(t)
		if d := w.login(t, w.bob, w.bob.code(t)); d.In(&w.bob.Person) {
			t.Errorf("%s: bob is in, and nothing could be kept of it", way)
		}
		lines := w.since(t, mark, "")
		if !strings.Contains(lines, why) || strings.Contains(lines, "verdict=accepted") {
			t.Errorf("%s: expected a line with %q, found\n%s\n%s", way, why, lines, w.lines())
		}
	}
	w.run(t, "systemctl start "+socket)
}

// fullDisk is full while the verifier starts and while people log in.
func (w *walk) fullDisk(t *testing.T) {
	w.smallDisk(t)
	w.run(t, "dd if=/dev/zero of=/var/lib/otpgate/filler bs=4k 2>/dev/null || test -s /var/lib/otpgate/filler")
	w.cannotKeep(t, "no space left on device")
	// alice's file is there, and takes no more room: she gets in, and once.
	w.out(t, w.in(t))
	w.run(t, "rm /var/lib/otpgate/filler")
	w.in(t)
}

// readOnlyDisk cannot be written then.
func (w *walk) readOnlyDisk(t *testing.T) {
	w.smallDisk(t)
	w.run(t, "mount -o remount,ro /mnt/small")
	w.cannotKeep(t, "read-only file system")
	w.run(t, "mount -o remount,rw /mnt/small")
	w.in(t)
}
