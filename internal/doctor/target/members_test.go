package target

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/otpgate/otpgate/internal/testprogram"
)

// root's own group has it for a member on every machine, whatever its list says.
func TestMembersOfTheMachine(t *testing.T) {
	t.Parallel()
	found, err := (&Machine{}).Members(t.Context(), []string{"root", "there-is-none"}, func(group string) bool { return group == "root" })
	if err != nil || !slices.ContainsFunc(found, func(m Member) bool { return m.Name == "root" && slices.Equal(m.Groups, []string{"root"}) }) {
		t.Errorf("found %+v, %v", found, err)
	}
}

// Of each group one comes first, whoever is in several is there once.
func TestMembersOfATree(t *testing.T) {
	t.Parallel()
	m := &Machine{Root: t.TempDir()}
	for name, text := range map[string]string{
		"passwd": "root:x:0:0::/:\nann:x:1:10::/:\nbob:x:2:20::/:\nodd\n",
		"group":  "root:x:0:\na:x:10:cid,bob\nb:x:20:ann\nempty:x:30:\nodd\n",
	} {
		path := filepath.Join(m.Root, "etc", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := m.Members(t.Context(), nil, func(group string) bool { return group != "root" })
	var names []string
	for _, member := range found {
		names = append(names, member.Name)
	}
	if want := []string{"cid", "ann", "bob"}; err != nil || !slices.Equal(names, want) || len(found[1].Groups) != 2 {
		t.Errorf("found %+v, %v, expected %v", found, err, want)
	}
}

// A name service that does not answer is waited for once, however many groups are
// asked about.
func TestADirectoryIsWaitedForOnce(t *testing.T) {
	dir := t.TempDir()
	asked := filepath.Join(dir, "asked")
	if err := testprogram.Write(filepath.Join(dir, "getent"), []byte("#!/bin/sh\necho \"$*\" >>"+asked+"\nexit 1\n")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	m := &Machine{}
	for _, group := range []string{"admins", "staff", "admins"} {
		if _, err := m.Members(t.Context(), []string{group}, func(name string) bool { return name == group }); err == nil {
			t.Errorf("%s: expected to be told that nobody answered", group)
		}
	}
	if text, err := os.ReadFile(asked); err != nil || string(text) != "group\n" {
		t.Errorf("asked %q, %v", text, err)
	}
}
