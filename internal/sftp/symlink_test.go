package sftp_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/sftp"
)

// Both orders of SYMLINK make the same link.
func TestSymlinkOrders(t *testing.T) {
	for _, linkFirst := range []bool{false, true} {
		dir := tempDir(t)
		files, err := newLocal(false)
		if err != nil {
			t.Fatal(err)
		}
		p, ended := serving(t, files, sftp.Options{LinkFirst: linkFirst})
		link := filepath.Join(dir, "link")
		request := pkt(fxSym, "target", link)
		if linkFirst {
			request = pkt(fxSym, link, "target")
		}
		p.ask(request)
		p.in.Close()
		<-ended
		if target, err := os.Readlink(link); err != nil || target != "target" {
			t.Errorf("the link first %v: %q, %v", linkFirst, target, err)
		}
	}
}
