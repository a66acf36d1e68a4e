package keyring

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writes has a file with that content.
func writes(content string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		must(t, os.WriteFile(path, []byte(content), 0o400))
	}
}

// A key's file is as good as a password's, or it is none.
func TestKeyFiles(t *testing.T) {
	good, name := keyFile(t)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	line := string(data[bytes.LastIndexByte(data[:len(data)-1], '\n')+1 : len(data)-1])
	text := encrypted(t, New(good), alicesPhone, "secret of alice, 20 b")
	for what, test := range map[string]struct {
		make func(t *testing.T, path string)
		says string // "" where it is a key
	}{
		"as it is":     {writes(string(data)), ""},
		"one line":     {writes(line), ""},
		"read by hand": {writes("# mine\n" + line + "\n# kept by Bob\n"), ""},
		"missing":      {func(*testing.T, string) {}, "no such file"},
		"empty":        {writes(""), "expected a key"},
		"comment":      {writes("# " + line), "expected a key"},
		"short":        {writes(line[:40] + "\n"), "expected a key"},
		"31 bytes":     {writes(base64.StdEncoding.EncodeToString(make([]byte, 31))), "expected a key"},
		"33 bytes":     {writes(base64.StdEncoding.EncodeToString(make([]byte, 33))), "expected a key"},
		"two":          {writes(line + "\n" + line + "\n"), "expected a key"},
		"raw":          {writes(strings.Repeat("k", 32)), "expected a key"},
		"with a space": {writes(line + " \n"), "expected a key"},
		"CRLF":         {writes(line + "\r\n"), "expected a key"},
		"large":        {writes("#" + strings.Repeat(" ", 5000) + "\n" + line + "\n"), "expected at most 4096"},
		"world":        {func(t *testing.T, path string) { writes(line)(t, path); chmod(t, path, 0o644) }, "mode 0644"},
		"group":        {func(t *testing.T, path string) { writes(line)(t, path); chmod(t, path, 0o440) }, "mode 0440"},
		"a link":       {func(t *testing.T, path string) { must(t, os.Symlink(good, path)) }, "symbolic link"},
		"two names":    {func(t *testing.T, path string) { writes(line)(t, path+"2"); must(t, os.Link(path+"2", path)) }, "hard links"},
		"a directory":  {func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }, "a directory"},
		"in an open directory": {func(t *testing.T, path string) {
			writes(line)(t, path)
			chmod(t, filepath.Dir(path), 0o777)
		}, "lets others write"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			chmod(t, dir, 0o700)
			path := filepath.Join(dir, "key")
			test.make(t, path)
			secret, err := New(path).Decrypt(alicesPhone, text)
			if test.says == "" {
				if err != nil || string(secret) != "secret of alice, 20 b" {
					t.Errorf("%q, %v", secret, err)
				}
				return
			}
			if !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), name) {
				t.Errorf("want %s, with file and key: %v", test.says, err)
			}
			if what != "missing" && strings.Contains(err.Error(), "not there") {
				t.Errorf("says of a file that is there that it is not: %v", err)
			}
			if strings.Contains(err.Error(), line[:20]) {
				t.Errorf("quotes the key: %v", err)
			}
		})
	}
}

// golden was written by the first build that encrypted. Every later one reads it.
const (
	goldenKey   = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	goldenName  = "630dcd29"
	goldenValue = "encrypted:630dcd29:2c+nXaFFdBwbfC/TOkaggQzfRjPo0G3HX2HSD+MkX6kmPr2MtdSehc8g80T8twkE/g"
)

func TestGolden(t *testing.T) {
	dir := t.TempDir()
	chmod(t, dir, 0o700)
	path := filepath.Join(dir, "key")
	must(t, os.WriteFile(path, []byte(goldenKey+"\n"), 0o400))
	ring := New(path)
	got, err := ring.Decrypt(alicesPhone, goldenValue)
	if err != nil || string(got) != "secret of alice, 20 b" || KeyOf(goldenValue) != goldenName {
		must(t, os.WriteFile(path+"2", []byte(noSpareComment+"\n"+goldenKey+"\n"), 0o400))
		text, _ := New(path+"2").Encrypt(alicesPhone, []byte("secret of alice, 20 b"))
		t.Errorf("%q, %v; it would be written as %s today", got, err, text)
	}
}

func TestNewFile(t *testing.T) {
	one, data := NewFile("age1abc", "age1def")
	other, _ := NewFile()
	if one == other {
		t.Error("two keys have one name")
	}
	name, spare, err := NameOfFile(data)
	if name != one || spare != SpareMade || err != nil || !strings.Contains(string(data), "for age1abc\n") {
		t.Errorf("%q, %v, %v of %s", name, spare, err, data)
	}
	_, data = NewFile()
	if _, spare, err := NameOfFile(data); spare != SpareNone || err != nil {
		t.Errorf("a spare copy that nobody has: %v, %v", spare, err)
	}
	if _, spare, err := NameOfFile([]byte(goldenKey)); spare != SpareUnknown || err != nil {
		t.Errorf("a key that was made by hand: %v, %v", spare, err)
	}
}

// A key encrypts once its file says whether there is a spare copy, and decrypts anyway.
func TestDecidedAboutSpareCopy(t *testing.T) {
	for comment, want := range map[string]Spare{
		"": SpareUnknown, "# mine\n": SpareUnknown, "# There is no spare copy, alas.\n": SpareUnknown,
		"# There is no spare copy.\n": SpareNone, "# There is a spare copy elsewhere.\n": SpareMade,
		"# There is no spare copy.\n# A spare copy is encrypted for age1abc\n": SpareMade,
	} {
		dir := t.TempDir()
		chmod(t, dir, 0o700)
		path := filepath.Join(dir, "key")
		must(t, os.WriteFile(path, []byte(goldenKey+"\n"+comment), 0o400))
		if name, spare, err := ReadFile(path); name != goldenName || spare != want || err != nil {
			t.Errorf("%q: %s, %v, %v", comment, name, spare, err)
		}
		ring := New(path)
		for what, err := range map[string]error{
			"Encrypt": func() error { _, err := ring.Encrypt(alicesPhone, []byte("x")); return err }(),
			"Current": func() error { _, err := ring.Current(); return err }(),
		} {
			if errors.Is(err, ErrSpareUnknown) != (want == SpareUnknown) || err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("%q: %s: %v", comment, what, err)
			}
		}
		if _, err := ring.Decrypt(alicesPhone, goldenValue); err != nil {
			t.Errorf("%q: %v", comment, err)
		}
	}
}
