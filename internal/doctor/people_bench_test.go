package doctor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// asWritten is a secret file as otpctl leaves it: an app and ten recovery codes.
const asWritten = `# Made by otpctl.
version = 1
user = '%s'
enabled = true
email = 'person@example.com'

[[factor]]
id = 'phone'
kind = 'totp'
secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
digits = 6
period = 30
algorithm = 'SHA1'
confirmed = 2026-11-22T10:00:00Z

[recovery]
hashes = [`

// crowded is a machine in order with sudo, su and login, on which people are enrolled,
// besides those of its set-up: each with a group of their own, half of them exempt by a
// group, some in sudo and many in one of many others.
func crowded(b testing.TB, people int) *patient {
	archive, err := txtar.ParseFile(setups + "good/debian-sudo-su-login.txtar")
	if err != nil {
		b.Fatal(err)
	}
	var accounts, shadow, groups strings.Builder
	var names []string
	for i := range people {
		name := fmt.Sprintf("a%06d", i) // ahead of all others, so that all who are exempt are looked at
		names = append(names, name)
		fmt.Fprintf(&accounts, "%s:x:%d:%d::/home/%s:/bin/bash\n", name, 100000+i, 100000+i, name)
		fmt.Fprintf(&shadow, "%s:$y$j9T$x:20000:0:99999:7:::\n", name)
		fmt.Fprintf(&groups, "%s:x:%d:\n", name, 100000+i)
		hashes := strings.Repeat("'0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', ", 10)
		archive.Files = append(archive.Files, txtar.File{Name: "etc/otpgate/users/" + name + ".toml", Data: []byte(fmt.Sprintf(asWritten, name) + hashes + "]\n")})
	}
	fmt.Fprintf(&groups, "staff:x:50000:%s\n", strings.Join(names[:people/2], ","))
	fmt.Fprintf(&groups, "sudo:x:27:%s\n", strings.Join(names[people-min(people, 3):], ","))
	for team := range min(people, 200) {
		fmt.Fprintf(&groups, "team%d:x:%d:%s\n", team, 60000+team, strings.Join(names[team:min(people, team+500)], ","))
	}
	for i, file := range archive.Files {
		switch file.Name {
		case "etc/passwd":
			archive.Files[i].Data = append(slices.Clip(file.Data), accounts.String()...) // the next file is behind it
		case "etc/group":
			archive.Files[i].Data = append(slices.Clip(file.Data), groups.String()...)
		}
	}
	archive.Files = append(archive.Files,
		txtar.File{Name: "etc/shadow", Data: []byte("root:*:20000::::::\n" + shadow.String())},
		txtar.File{Name: "etc/sudoers", Data: []byte("root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n")},
		txtar.File{Name: "etc/otpgate/otpgate.toml", Data: []byte("[policy]\nrequire = [\"@all\"]\nexempt = [\"backup\", \"@staff\"]\n")})
	return admit(b, archive)
}

// BenchmarkPeople is what the doctor takes where very many are enrolled. It is to take
// at most a second for a hundred thousand on an idle machine with two cores.
func BenchmarkPeople(b *testing.B) {
	for _, people := range []int{1, 100_000} {
		b.Run(fmt.Sprint(people), func(b *testing.B) {
			p := crowded(b, people)
			for b.Loop() {
				if found := p.examine(); inForce(found) {
					b.Fatalf("it is in order, and this was found:\n%s", found)
				}
			}
		})
	}
}
