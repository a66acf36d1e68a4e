package doctor

import (
	"fmt"
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

// crowded is a machine in order on which people are enrolled, besides those of its
// set-up, and half of them are in a group.
func crowded(b *testing.B, people int) *patient {
	archive, err := txtar.ParseFile(setups + "good/debian-policy.txtar")
	if err != nil {
		b.Fatal(err)
	}
	var accounts, shadow, members strings.Builder
	for i := range people {
		name := fmt.Sprintf("user%06d", i)
		fmt.Fprintf(&accounts, "%s:x:%d:%d::/home/%s:/bin/bash\n", name, 100000+i, 100000, name)
		fmt.Fprintf(&shadow, "%s:$y$j9T$x:20000:0:99999:7:::\n", name)
		if i%2 == 0 {
			members.WriteString("," + name)
		}
		hashes := strings.Repeat("'0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', ", 10)
		archive.Files = append(archive.Files, txtar.File{Name: "etc/otpgate/users/" + name + ".toml", Data: []byte(fmt.Sprintf(asWritten, name) + hashes + "]\n")})
	}
	for i, file := range archive.Files {
		switch file.Name {
		case "etc/passwd":
			archive.Files[i].Data = append(file.Data, accounts.String()...)
		case "etc/group":
			archive.Files[i].Data = append(file.Data, "staff:x:50000:"+members.String()[1:]+"\n"...)
		case "etc/otpgate/otpgate.toml":
			archive.Files[i].Data = []byte("[policy]\nrequire = [\"@all\"]\nexempt = [\"backup\", \"@staff\"]\n")
		}
	}
	archive.Files = append(archive.Files, txtar.File{Name: "etc/shadow", Data: []byte("root:*:20000::::::\n" + shadow.String())})
	return admit(b, archive)
}

// BenchmarkPeople is what the doctor takes where very many are enrolled. It is to take
// at most a second for a hundred thousand.
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
