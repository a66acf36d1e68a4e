package backup

import (
	"archive/tar"
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/ledger"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func alice() admin.Backup {
	return admin.Backup{User: "alice", Text: []byte("version = 1\n"), Entry: ledger.Entry{
		Used: map[string]ledger.Use{"00aa": {Step: 1 << 40, Drift: -3, Resynced: 200}}, UsedHashes: []string{"scratch:00", "11"},
		LastLogin: noon, Grace: noon.Add(-time.Hour),
	}}
}

func TestThereAndBack(t *testing.T) {
	people := []admin.Backup{alice(), {User: "bob", Text: []byte("#\n")}, {User: "a b@c", Text: bytes.Repeat([]byte("x"), 64<<10)}}
	var archive bytes.Buffer
	w := NewWriter(&archive, noon)
	for _, b := range people {
		if err := w.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := Read(bytes.NewReader(archive.Bytes()))
	if err != nil || !reflect.DeepEqual(got, people) {
		t.Errorf("%v, %d people", err, len(got))
	}
	// Half of it is none. That nothing is cut off its end is for age to say.
	for _, n := range []int{archive.Len() / 2, 1500, 700, 1} {
		if got, err := Read(bytes.NewReader(archive.Bytes()[:n])); err == nil {
			t.Errorf("of %d bytes: %d people", n, len(got))
		}
	}
}

// member is one of an archive that somebody else wrote.
type member struct {
	name, text string
	kind       byte
}

func TestReadRefuses(t *testing.T) {
	good := []member{{"users/alice.toml", "x", tar.TypeReg}, {"used/alice.json", "{}", tar.TypeReg}}
	for name, test := range map[string]struct {
		members []member
		want    string
	}{
		"one half":             {good[:1], "used/alice.json is missing"},
		"the other half":       {good[1:], "without a secret file"},
		"twice":                {append(good, good[0]), "users/alice.toml is in it twice"},
		"twice used":           {append(good, good[1]), "used/alice.json is in it twice"},
		"elsewhere":            {append(good, member{"etc/passwd", "x", tar.TypeReg}), "expected files"},
		"out of it":            {append(good, member{"users/../../x.toml", "x", tar.TypeReg}), "expected files"},
		"absolute":             {append(good, member{"/users/x.toml", "x", tar.TypeReg}), "expected files"},
		"deeper":               {append(good, member{"users/x/y.toml", "x", tar.TypeReg}), "expected files"},
		"a name that is none":  {append(good, member{"users/.toml", "x", tar.TypeReg}), "expected files"},
		"a link":               {append(good, member{"users/x.toml", "", tar.TypeSymlink}), "expected files"},
		"a directory":          {append(good, member{"users/x.toml", "", tar.TypeDir}), "expected files"},
		"a large one":          {append(good, member{"users/x.toml", strings.Repeat("x", maxMember+1), tar.TypeReg}), "expected files"},
		"used that is no JSON": {append(good[:1:1], member{"used/alice.json", "{", tar.TypeReg}), "used/alice.json: "},
	} {
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		for _, m := range test.members {
			if err := w.WriteHeader(&tar.Header{Name: m.name, Typeflag: m.kind, Size: int64(len(m.text)), Linkname: "x"}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(m.text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(&archive); err == nil || !strings.Contains(err.Error(), test.want) || got != nil {
			t.Errorf("%s: %d people, %v, want %q", name, len(got), err, test.want)
		}
	}
	if got, err := Read(strings.NewReader("")); err != nil || len(got) > 0 {
		t.Errorf("empty: %+v, %v", got, err)
	}
}
