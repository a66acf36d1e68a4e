package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
)

// sftp looks at what the SFTP server does with its settings at a login alone.
// What it cannot start with it says itself.
func (e *exam) sftp() {
	settings := e.settings.SFTP
	if len(e.Services) > 0 && !slices.Contains(e.Services, settings.PAMService) {
		return
	}
	path := e.configPath()
	data, _ := os.ReadFile(path)
	if len(e.Services) > 0 {
		e.add(offered())
	}
	if len(settings.CodeAfter) == 0 {
		e.add(Finding{Severity: Warning, ID: "sftp-never-asks", File: path, Line: lineOf(data, "code_after"), What: "sftp.code_after is empty.",
			Follows: "otpgate-sftpd asks nobody for a code.", Fix: `Write code_after = ["password", "publickey"], or take it out.`})
	}
	root := common(settings.Root)
	if root == "" {
		return
	}
	dir, err := safefile.OpenDir(e.Machine.Root + root)
	if err == nil {
		_ = dir.Close()
		return
	}
	fix := "It and all above it must belong to root and be writable for nobody else."
	if errors.Is(err, fs.ErrNotExist) {
		fix = "Make it: install -d -m 755 " + root
	}
	e.add(Finding{Severity: Error, ID: "sftp-root", File: path, Line: lineOf(data, "root"), What: "sftp.root: " + err.Error() + ".",
		Follows: "otpgate-sftpd lets nobody in.", Fix: fix})
}

// offered says what clients of the server must know one of each of.
func offered() Finding {
	list := func(names []string) string { return strings.Join(names, ", ") }
	return Finding{Severity: Note, ID: "sftp-algorithms",
		What: "otpgate-sftpd offers the key exchanges " + list(algorithms.KeyExchanges()) + "; the ciphers " + list(algorithms.Ciphers()) +
			"; the MACs " + list(algorithms.MACs()) + "; signatures of those host keys that it has: " + list(algorithms.AllHostKeySignatures()) +
			". It takes users' signatures " + list(algorithms.UserSignatures()) + ".",
		Follows: "A client that lacks one of each cannot connect, and a user's DSA key, or RSA with SHA-1, lets nobody in.",
		Fix:     "Nothing is to be done; update such clients, and give their users ed25519 keys."}
}

// common is the directory that sftp.root has for everybody: above the first
// part that is a person's own. "" is none that is known.
func common(root string) string {
	before, _, own := strings.Cut(root, "%")
	if !own {
		return root
	}
	if dir := filepath.Dir(before + "x"); filepath.IsAbs(dir) {
		return dir
	}
	return ""
}
