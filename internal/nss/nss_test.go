package nss

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const people = `alice:5001:5000:/home/alice
alice2:5001:5000:/home/alice
bob:5002:5000:/home/bob
ALICE=alice
`

// What a service returns in place of an answer is doubt, whatever the number.
func TestOutageIsDoubt(t *testing.T) {
	if !alone(t, "passwd: files probe\ngroup: files probe") {
		return
	}
	probe(t, "passwd", people)
	probe(t, "group", "admins:6001:alice\n")
	var rules strings.Builder
	numbers := []syscall.Errno{syscall.ENOENT, syscall.ESRCH, syscall.EBADF, syscall.EPERM, syscall.EIO, syscall.ECONNREFUSED, syscall.EAGAIN}
	for _, number := range numbers {
		for _, status := range []string{"unavail", "tryagain"} {
			for _, function := range []string{"passwd", "group"} {
				fmt.Fprintf(&rules, "%s %s-%d %s %d\n", function, status, number, status, number)
			}
			fmt.Fprintf(&rules, "uid %d %s %d\n", 7000+number, status, number)
		}
	}
	probe(t, "rules", rules.String())
	for _, number := range numbers {
		for _, status := range []string{"unavail", "tryagain"} {
			expectDoubt(t, fmt.Sprintf("%s-%d", status, number), number)
		}
		if _, found, err := UserByID(7000 + uint32(number)); found || !errors.Is(err, number) {
			t.Errorf("uid with %v: %v, %v", number, found, err)
		}
	}
	for _, name := range []string{"nobody-such", "a b", strings.Repeat("x", 300)} {
		if _, found, err := UserByName(name); found || err != nil {
			t.Errorf("user %q: %v, %v", name, found, err)
		}
		if _, found, err := GroupByName(name); found || err != nil {
			t.Errorf("group %q: %v, %v", name, found, err)
		}
		if _, err := IsMember(name, "admins"); !errors.Is(err, ErrUnknownUser) {
			t.Errorf("user %q in a group: %v", name, err)
		}
	}
	if _, err := IsMember("bob", "none"); !errors.Is(err, ErrUnknownGroup) {
		t.Errorf("bob in an unknown group: %v", err)
	}
	if _, _, err := UserByName("alice\x00"); err == nil {
		t.Error("a zero byte ends a name")
	}
	if u, found, err := UserByName("ALICE"); !found || err != nil || u != (User{"alice", 5001, 5000, "/home/alice"}) {
		t.Errorf("ALICE: %+v, %v, %v", u, found, err)
	}
	if u, found, err := UserByID(5001); !found || err != nil || u.Name != "alice" {
		t.Errorf("uid 5001: %+v, %v, %v", u, found, err)
	}
}

// expectDoubt has each question about a name, as a user's or a group's, return
// the service's error.
func expectDoubt(t *testing.T, name string, number syscall.Errno) {
	t.Helper()
	_, found, err := UserByName(name)
	if found || !errors.Is(err, number) {
		t.Errorf("user %s: %v, %v", name, found, err)
	}
	if _, found, err = GroupByName(name); found || !errors.Is(err, number) {
		t.Errorf("group %s: %v, %v", name, found, err)
	}
	if in, err := IsMember(name, "admins"); in || !errors.Is(err, number) {
		t.Errorf("%s in a group: %v, %v", name, in, err)
	}
	if in, err := IsMember("bob", name); in || !errors.Is(err, number) {
		t.Errorf("bob in %s: %v, %v", name, in, err)
	}
}

// Somebody is in a group whichever way the services say so; the list of a
// person's groups may be lost without an error.
func TestMember(t *testing.T) {
	if !alone(t, "passwd: files probe\ngroup: files probe") {
		return
	}
	probe(t, "passwd", people)
	probe(t, "group", "main:5000\nadmins:6001:carol,alice\nnested:6002\n")
	probe(t, "initgroups", "alice:6001,6002\nbob:6002\n")
	expect := func(name, group string, want bool) {
		t.Helper()
		if in, err := IsMember(name, group); in != want || err != nil {
			t.Errorf("%s in %s: %v, %v", name, group, in, err)
		}
	}
	expect("alice", "main", true)
	expect("alice", "nested", true)
	expect("bob", "nested", true)
	expect("bob", "admins", false)
	for _, lost := range []string{"initgroups alice unavail 2\n", "initgroups alice notfound 2\n", "initgroups alice unavail 111\n", "initgroups alice tryagain 11\n"} {
		probe(t, "rules", lost)
		expect("alice", "admins", true)
		expect("ALICE", "admins", true)
		expect("alice", "main", true)
	}
	// Where it can be seen that the list is lost, it is no list.
	for _, number := range lost {
		probe(t, "rules", fmt.Sprintf("initgroups alice unavail %d\n", number))
		if in, err := IsMember("alice", "nested"); in || !errors.Is(err, number) {
			t.Errorf("nested, with %v: %v, %v", number, in, err)
		}
		if gids, err := GroupsOf(User{"alice", 5001, 5000, ""}); !errors.Is(err, number) {
			t.Errorf("groups, with %v: %v, %v", number, gids, err)
		}
	}
	// None of that stands behind a list that is whole.
	probe(t, "rules", "")
	for _, name := range []string{"alice", "bob", "root", "nobody-such"} {
		if gids, err := GroupsOf(User{name, 5001, 5000, ""}); err != nil || !slices.Contains(gids, 5000) {
			t.Errorf("groups of %s: %v, %v", name, gids, err)
		}
	}
}

// A list is never a part of one.
func TestLargeGroups(t *testing.T) {
	if !alone(t, "passwd: files probe\ngroup: files extrausers probe") {
		return
	}
	var members, groups strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&members, "member-%d,", i)
	}
	for i := range 3000 {
		fmt.Fprintf(&groups, "of-alice-%d:x:%d:alice\n", i, 30000+i)
	}
	probe(t, "passwd", people)
	write(t, "/var/lib/extrausers/passwd", "")
	write(t, "/var/lib/extrausers/group", "large:x:6003:"+members.String()+"alice\n"+groups.String())
	if in, err := IsMember("alice", "large"); !in || err != nil {
		t.Errorf("alice in a large group: %v, %v", in, err)
	}
	if in, err := IsMember("bob", "large"); in || err != nil {
		t.Errorf("bob in a large group: %v, %v", in, err)
	}
	gids, err := GroupsOf(User{"alice", 5001, 5000, ""})
	if err != nil || len(gids) != 3002 || !slices.Contains(gids, 32999) {
		t.Errorf("%d groups, %v", len(gids), err)
	}
	if other, err := getent("alice", 5000); err != nil || !slices.Equal(slices.Sorted(slices.Values(other)), slices.Sorted(slices.Values(gids))) {
		t.Errorf("getent: %d groups, %v", len(other), err)
	}
}

// Made-up names that hang take no place from an account of the machine's own.
func TestMadeUpNamesThatHang(t *testing.T) {
	if !alone(t, "passwd: files probe\ngroup: files probe") {
		return
	}
	held := newFIFO(t)
	var rules strings.Builder
	for i := range maxUnderWay {
		fmt.Fprintf(&rules, "passwd madeup%d hang %s\n", i, held)
	}
	probe(t, "rules", rules.String())
	probe(t, "group", "inprobe:5000:root\n")
	for i := range maxUnderWay {
		go func() { _, _, _ = UserByName(fmt.Sprint("madeup", i)) }()
	}
	for len(usual.slots) < maxUnderWay {
		time.Sleep(time.Millisecond)
	}
	if _, found, err := UserByName("root"); err != nil || !found {
		t.Errorf("root: %v, %v", found, err)
	}
	if _, found, err := UserByID(0); err != nil || !found {
		t.Errorf("uid 0: %v, %v", found, err)
	}
	if names, err := NamesOf(0); err != nil || len(names) == 0 {
		t.Errorf("names of uid 0: %v, %v", names, err)
	}
	// Whom a group of the directory's exempts, or requires a code of.
	if in, err := IsMember("root", "inprobe"); err != nil || !in {
		t.Errorf("root in a group of the service: %v, %v", in, err)
	}
}
