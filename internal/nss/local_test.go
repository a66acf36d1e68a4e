package nss

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLocalNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	write(t, path, "root:x:0:0:root:/root:/bin/bash\n\n# a comment\nalice:x:1000:1000::/home/alice:/bin/sh\n"+
		"+nis:x:1000:1000:::\n-nis::1000::::\ntoor:x:0:0::/root:\nshort:x:1000\nnone:x::1000::/:\nlarge:x:4294967296:0::/:\n:x:1000:0::/:\nalice2::1000:1000::/:\nalice:x:0:0::/:")
	names, uids, err := LocalNames(path)
	if want := map[uint32][]string{0: {"root", "toor", "alice"}, 1000: {"alice", "alice2"}}; err != nil || !reflect.DeepEqual(names, want) {
		t.Errorf("%v, %v, want %v", names, err, want)
	}
	if want := map[string]uint32{"root": 0, "toor": 0, "alice": 1000, "alice2": 1000}; !reflect.DeepEqual(uids, want) {
		t.Errorf("%v, want %v", uids, want)
	}
	if names, _, err := LocalNames(path + "-none"); err != nil || len(names) > 0 {
		t.Error(names, err)
	}
	if names, _, err := LocalNames(filepath.Dir(path)); err == nil {
		t.Errorf("of a directory: %v", names)
	}
}

// What the C library takes for an account is one, however it is written.
func TestOddLines(t *testing.T) {
	if !alone(t, "passwd: files") {
		return
	}
	path := filepath.Join(t.TempDir(), "passwd")
	write(t, path, "root:x:0:0:root:/root:/bin/bash\nfirst:x:5000:5000::/:/bin/sh\ncolon:x:5000:5000::/:/bin/sh:more\n \tblank:x:5000:5000::/:/bin/sh\n"+
		"ends:x:5000:5000\nplus:x:+5000:5000::/:\nspace:x: 5000:5000::/:\nzero:x:05000:5000::/:\nshort:x:5000\nnogroup:x:5000::::\nletter:x:5000a:1:::\nminus:x:-5000:1:::\n")
	if err := unix.Mount(path, PasswdPath, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	names, err := NamesOf(5000)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first", "colon", "blank", "ends", "plus", "space", "zero", "short", "nogroup", "letter", "minus"} {
		u, found, err := UserByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if ok := found && u.UID == 5000; ok != slices.Contains(names, name) {
			t.Errorf("%s: to the C library %v, among %q %v", name, ok, names, !ok)
		}
	}
}

// The first name is the one that the C library gives, and each is there once.
func TestNamesOf(t *testing.T) {
	local, _, err := LocalNames(PasswdPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, uid := range slices.Collect(maps.Keys(local)) {
		if names, err := NamesOf(uid); err != nil || !slices.Equal(names, local[uid]) {
			t.Errorf("uid %d: %q, %v, want %q", uid, names, err, local[uid])
		}
	}
	if names, err := NamesOf(3999999); err != nil || len(names) > 0 {
		t.Error(names, err)
	}
}

// What a login of somebody costs who has no secret file, on a machine of 100,000.
func BenchmarkEachLocal(b *testing.B) {
	path := filepath.Join(b.TempDir(), "passwd")
	var text []byte
	for range 100_000 {
		text = append(text, "somebody:x:100000:100000:Some Body,,,:/home/somebody:/bin/bash\n"...)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := eachLocal(path, func(string, uint32) {}); err != nil {
			b.Fatal(err)
		}
	}
}
