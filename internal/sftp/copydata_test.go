package sftp_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftp/local"
)

// Each part of a copy waits for its turn, and gives it back.
func TestCopyInTurns(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := errors.Join(os.WriteFile(from, []byte("some text"), 0o600), os.WriteFile(to, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	files, err := local.New(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	began, over, refusal := 0, 0, error(nil)
	options := sftp.Options{Copying: func(context.Context) (func(), error) {
		if began != over {
			t.Error("a part begins before the last one is over")
		}
		began++
		return func() { over++ }, refusal
	}}
	second := raw("\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00")
	sent := packets(pkt(fxOpen, from, opRead, noAttrs), pkt(fxOpen, to, opWrite, noAttrs), ext("copy-data", firstHandle, uint64(0), uint64(0), second, uint64(0)))
	if _, err := feed(files, options, sent); err != nil {
		t.Fatal(err)
	}
	// The last part is that in which the end is seen.
	if text, err := os.ReadFile(to); err != nil || string(text) != "some text" || began != 2 || over != 2 {
		t.Errorf("%q %v, %d parts, %d over", text, err, began, over)
	}
	refusal = context.Canceled
	if _, err := feed(files, options, sent); !errors.Is(err, context.Canceled) {
		t.Errorf("expected the end of the session, found %v", err)
	}
}

// A copy of a file into itself under another name would never come to its end.
func TestCopyIntoItself(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("some text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(file, link); err != nil {
		t.Fatal(err)
	}
	files, err := local.New(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	second := raw("\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00")
	// Only so much, as the test is to end where this is wrong.
	s, err := feed(files, sftp.Options{}, packets(pkt(fxOpen, file, opRead, noAttrs), pkt(fxOpen, link, opWrite, noAttrs),
		ext("copy-data", firstHandle, uint64(0), uint64(9), second, uint64(9))))
	if err != nil {
		t.Fatal(err)
	}
	const failure = 4
	if status := s.replies(t)[2].status(); status != failure {
		t.Errorf("status %d, expected %d", status, failure)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "some text" {
		t.Errorf("%q %v", text, err)
	}
}
