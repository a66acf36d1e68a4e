package sftp_test

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"testing"

	"github.com/otpgate/otpgate/internal/sftp"
)

// FuzzPackets sends anything behind INIT. There must be no panic, no wait, no
// descriptor left, whole replies only, and no more of them than requests.
func FuzzPackets(f *testing.F) {
	h := firstHandle
	f.Add(packets(pkt(fxOpen, "x", opRead|opWrite, noAttrs), pkt(fxWrite, h, uint64(3), "data"), pkt(fxRead, h, zero64, uint32(100)),
		pkt(fxFstat, h), pkt(fxFsetstat, h, withSize(10)), ext("fsync@openssh.com", h), ext("fstatvfs@openssh.com", h), pkt(fxClose, h)))
	f.Add(packets(pkt(fxOpendir, "x"), pkt(fxReaddir, h), pkt(fxReaddir, h), pkt(fxClose, h)))
	f.Add(packets(pkt(fxOpen, "x", opRead|opWrite, noAttrs), pkt(fxOpen, "y", opRead|opWrite|opAppend, noAttrs),
		ext("copy-data", h, zero64, zero64, raw("\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00"), uint64(7))))
	f.Add(packets(ext("limits@openssh.com"), ext("users-groups-by-id@openssh.com", be32(1)+be32(2), be32(3)), ext("expand-path@openssh.com", "~root/x"),
		ext("home-directory", ""), ext("statvfs@openssh.com", "/"), ext("lsetstat@openssh.com", "x", withOwner(1, 2)),
		ext("posix-rename@openssh.com", "a", "b"), ext("hardlink@openssh.com", "a", "b")))
	f.Add(packets(pkt(fxStat, "a"), pkt(fxLstat, "a"), pkt(fxSetstat, "a", withTimes(1, 2)), pkt(fxRemove, "a"), pkt(fxMkdir, "a", withMode(1)),
		pkt(fxRmdir, "a"), pkt(fxRealpath, ""), pkt(fxRename, "a", "b"), pkt(fxReadlink, "a"), pkt(fxSym, "a", "b")))
	f.Add([]byte(be32(0xffffffff)))
	f.Fuzz(func(t *testing.T, input []byte) {
		before := descriptors(t)
		s := &stream{Reader: io.MultiReader(bytes.NewReader(initPacket), bytes.NewReader(input))}
		_ = sftp.Serve(t.Context(), s, fake{names: 250}, sftp.Options{Handles: 5})
		if n := len(s.replies(t)); n > len(input)/9 {
			t.Errorf("%d replies to %d bytes", n, len(input))
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors, before %d", after, before)
		}
	})
}

// FuzzMemory looks that a session takes no more memory than its buffers and a
// few times what it was sent.
func FuzzMemory(f *testing.F) {
	f.Add(packets(ext("users-groups-by-id@openssh.com", raw(be32(0x3fffffff)), raw(be32(0x3fffffff)))))
	f.Add(packets(pkt(fxSetstat, "x", raw(be32(0x80000000)+be32(0xffffffff)+"aaaa"))))
	f.Add([]byte(be32(256 << 10)))
	f.Fuzz(func(t *testing.T, input []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s := struct {
			io.Reader
			io.Writer
		}{io.MultiReader(bytes.NewReader(initPacket), bytes.NewReader(input)), io.Discard}
		_ = sftp.Serve(context.Background(), s, fake{}, sftp.Options{Handles: 5})
		runtime.ReadMemStats(&after)
		if got, allowed := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+200*len(input)); got > allowed {
			t.Errorf("%d bytes for %d, expected at most %d", got, len(input), allowed)
		}
	})
}
