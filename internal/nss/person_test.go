package nss

import (
	"os"
	"path/filepath"
	"testing"
)

// Persons are root and who is above the system's accounts, wherever these end.
func TestPersonUIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "login.defs")
	for _, test := range []struct {
		text string
		uids map[uint32]bool
	}{
		{"", map[uint32]bool{0: true, 1: false, 999: false, 1000: true, 65533: true, 65534: false, 65535: true}},
		{"# UID_MIN 1\nUID_MIN\t\t  500\nUID_MAX 600\n", map[uint32]bool{0: true, 499: false, 500: true, 65534: false}},
		{"UID_MIN many\n", map[uint32]bool{999: false, 1000: true}},
	} {
		if err := os.WriteFile(path, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		persons := PersonUIDs(path)
		for uid, want := range test.uids {
			if persons(uid) != want {
				t.Errorf("%q: %d is a person's: %v, expected %v", test.text, uid, !want, want)
			}
		}
	}
	if persons := PersonUIDs(path + ".none"); persons(999) || !persons(1000) {
		t.Error("without a login.defs the least uid is not 1000")
	}
}
