package e2e

import (
	"bufio"
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Nothing on a client's disk or in its processes' memory is a secret, a hash of a code,
// or a key to one: while somebody is asked, after logins of each kind, and while a code
// that was sent waits for the next login.
func TestRemoteHoldsNoSecret(t *testing.T) {
	t.Parallel()
	const name = "r-secret-s"
	texts := hosts.StartGateway(t)
	server := machine.NewServer(t, name, keysTable(name, "key")+texts.Settings(""))
	key := makeKey(t, server.Site, "key")
	p := machine.NewPerson(t, "rem")
	codes, recovery := factor.NewRecovery(p.Name)
	machine.Keep(codes...)
	p.Write(t, server.Users, p.SecretFile()+"\n[recovery]\nhashes = [\""+strings.Join(recovery.Hashes, `", "`)+"\"]\n")
	ctl(t, server.Site, "secrets", "encrypt")
	client := machine.NewClient(t, "r-secret", machine.Client{}, server)
	client.CodeOnly(t, "r-secret", "protocol=ssh")
	client.AroundPassword(t, "r-secret-field", debianPassword, "protocol=ftp")
	ftp := hosts.StartVSFTPD(t, "r-secret-field")

	secrets := append(heldByServer(t, p, server, key), []byte(recovery.Hashes[0]), []byte(recovery.Hashes[1]))
	login := beginAt(t, client, p)
	login.Prompt(t, "Verification code")
	holdsNone(t, client, secrets, login.Cmd.Process.Pid)
	login.Answer(p.Code(t, 0))
	if verdict := login.Verdict(t); verdict != hosts.PAMSuccess || !remoteLogin(t, client, p, codes[0]) {
		t.Fatal("not in")
	}
	field := addressed(t, machine.NewPerson(t, "field"), server.Site, "sms")
	if ftp.In(t, field, field.Password) {
		t.Fatal("in without a code")
	}
	code := texted(t, texts, 1)
	secrets = append(secrets, carriedOf(t, server, field)...)
	holdsNone(t, client, secrets)
	if !ftp.In(t, field, field.Password+code) {
		t.Fatalf("not in:\n%s", machine.Text(machine.Log.Lines("user="+field.Name+" ")))
	}
	holdsNone(t, client, secrets)
}

// heldByServer are the secret of p and the key that opens it, each as it is written and as
// it is used.
func heldByServer(t *testing.T, p *machine.Person, server *machine.Server, key string) [][]byte {
	t.Helper()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	written := lines[len(lines)-1]
	opened, err := base64.StdEncoding.DecodeString(written)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(server.Users, p.Name+".toml"))
	if err != nil {
		t.Fatal(err)
	}
	encrypted := regexp.MustCompile(`encrypted:[^'"]+`).Find(file)
	if encrypted == nil {
		t.Fatalf("no encrypted secret in\n%s", file)
	}
	return [][]byte{[]byte(p.Secret), raw, []byte(written), opened, encrypted}
}

// carriedOf are the hashes of the codes that wait for p's next login.
func carriedOf(t *testing.T, server *machine.Server, p *machine.Person) (hashes [][]byte) {
	t.Helper()
	files, err := ledger.OpenFiles(server.State)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := files.View(t.Context(), ledger.UserKey(p.Name))
	if err != nil || len(entry.Carried) == 0 {
		t.Fatalf("%+v, %v", entry.Carried, err)
	}
	for _, carried := range entry.Carried {
		hashes = append(hashes, []byte(carried.Hash))
	}
	return hashes
}

// holdsNone looks for the secrets on a client's disk, and in the memory of its verifier
// and of other processes.
func holdsNone(t *testing.T, client machine.Site, secrets [][]byte, others ...int) {
	t.Helper()
	// This process has them, so that a search that can find nothing is noticed.
	if !inMemory(t, os.Getpid(), secrets) {
		t.Error("the search does not find them here either")
	}
	for _, pid := range append(others, client.Verifier.PID()) {
		if inMemory(t, pid, secrets) {
			t.Errorf("a secret is in the memory of process %d of the client, whose verifier is %d", pid, client.Verifier.PID())
		}
	}
	for _, dir := range []string{filepath.Dir(client.Config), client.State, filepath.Dir(client.Socket)} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			for _, secret := range secrets {
				if bytes.Contains(text, secret) {
					t.Errorf("a secret is in %s", path)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// It has made no ledger either.
	if entries, err := os.ReadDir(client.State); err != nil || len(entries) > 0 {
		t.Errorf("in the client's %s: %v, %v", client.State, entries, err)
	}
}

// inMemory says whether a process has one of the texts in what it can read.
func inMemory(t *testing.T, pid int, texts [][]byte) bool {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	// Piece by piece, as this process has mappings of many gigabytes. Pieces overlap by
	// more than a text is long.
	const page, overlap = 4 << 10, 4 << 10
	piece := make([]byte, 1<<20)
	looked := 0
	found := false
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var from, to int64
		var mode string
		if n, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); n != 3 || err != nil || !strings.HasPrefix(mode, "r") {
			continue
		}
		for at := from; at < to; {
			n, _ := memory.ReadAt(piece[:min(int64(len(piece)), to-at)], at)
			looked += n
			for _, text := range texts {
				found = found || bytes.Contains(piece[:n], text)
			}
			if at+int64(n) >= to {
				break
			}
			at += int64(max(n-overlap, page)) // what cannot be read is nobody's
		}
	}
	if looked == 0 {
		t.Fatalf("nothing of the memory of process %d can be read", pid)
	}
	return found
}
