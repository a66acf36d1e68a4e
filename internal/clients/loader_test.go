package clients

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
)

// writeClient writes the file of a client that may ask for sshd and sudo. put changes
// what is in it, and not its time.
func writeClient(t *testing.T, dir string) (text []byte, put func(text []byte)) {
	t.Helper()
	client := Default()
	client.Client, client.Keys, client.Services = "web1", []config.KeyHash{keyOf(1)}, []string{"sshd", "sudo"}
	if err := Save(dir, client); err != nil {
		t.Fatal(err)
	}
	path := Path(dir, "web1")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return text, func(text []byte) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, text, 0o600), os.Chtimes(path, before.ModTime(), before.ModTime())); err != nil {
			t.Fatal(err)
		}
	}
}

// What is loaded again and again is as it is in the file now, even if nothing but a
// letter has changed and its times say that nothing has.
func TestLoader(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "clients")
	text, put := writeClient(t, dir)
	var loader Loader
	maySudo := func() bool {
		t.Helper()
		got, err := loader.Load(dir, "web1")
		if err != nil {
			t.Fatal(err)
		}
		return got.MayAskFor("sudo")
	}
	for range 2 {
		if !maySudo() {
			t.Error("the client may not ask for sudo")
		}
	}
	if l := &loader; len(l.parsed) != 1 {
		t.Errorf("%d files were kept", len(l.parsed))
	}
	put(bytes.Replace(text, []byte("sudo"), []byte("sudu"), 1))
	if maySudo() {
		t.Error("the file has changed, and the client may still ask for sudo")
	}
	put([]byte("version = 1\n"))
	if err := second(loader.Load(dir, "web1")); err == nil {
		t.Error("a file that is wrong was loaded")
	}
	put(text)
	if !maySudo() {
		t.Error("a file that is right again was not loaded")
	}
	// Also what has not changed is refused where everybody may write.
	if err := os.Chmod(Path(dir, "web1"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := second(loader.Load(dir, "web1")); err == nil {
		t.Error("a file that everybody may write to was loaded")
	}
	if err := Remove(dir, "web1"); err != nil {
		t.Fatal(err)
	}
	if err := second(loader.Load(dir, "web1")); !errors.Is(err, ErrUnknown) {
		t.Errorf("a file that is gone: %v", err)
	}
}
