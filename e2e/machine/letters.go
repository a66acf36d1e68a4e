package machine

import (
	"os"
	"path/filepath"
)

// MailDomain is what comes behind the @ of the machine's people.
const MailDomain = "machine.example"

// Mail is the person's address here.
func (p *Person) Mail() string { return p.Name + "@" + MailDomain }

// Letters are what has arrived for the person, unread.
func (p *Person) Letters(t T) []string {
	t.Helper()
	files, err := filepath.Glob("/home/" + p.Name + "/Maildir/new/*")
	if err != nil {
		t.Fatalf("%s's mail: %v", p.Name, err)
	}
	var letters []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%s's mail: %v", p.Name, err)
		}
		letters = append(letters, string(data))
	}
	return letters
}

// Letter waits for the one letter of the person's and returns it.
func (p *Person) Letter(t T) string {
	t.Helper()
	Until(t, "a letter has arrived for "+p.Name, func() bool { return len(p.Letters(t)) > 0 })
	letters := p.Letters(t)
	if len(letters) != 1 {
		t.Fatalf("expected one letter for %s, found %q", p.Name, letters)
	}
	return letters[0]
}
