package sftp_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftp/local"
)

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
