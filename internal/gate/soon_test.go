package gate

import (
	"testing"

	"github.com/otpgate/otpgate/internal/account"
)

// counted is Accounts that count what they are asked.
type counted struct {
	userFiles
	loads, walks int
}

func (c *counted) Load(name string) (account.Person, error) {
	c.loads++
	return c.userFiles.Load(name)
}

func (c *counted) Like(name string) ([]string, error) {
	c.walks++
	return c.userFiles.Like(name)
}

// Before the password nobody has the directory read, whatever name it is: that
// would take the longer the more people there are, and for names alone that
// nobody has.
func TestSplitReadsNoDirectory(t *testing.T) {
	p, dir := newFixture(t), t.TempDir()
	for _, name := range []string{"alice", "Bob", "CAROL", "mIxed"} {
		p.Give(name)
		write(t, dir, p.Known[name])
	}
	accounts := &counted{userFiles: userFiles{Place{Place: account.Place{Path: dir}}}}
	p.Accounts = accounts
	for user, wanted := range map[string]int{"ALICE": 6, "bob": 6, "carol": 6, "mixed": 0, "MIXED": 0, "nobody-has-this": 0} {
		accounts.loads = 0
		n, _, err := p.split(user, "secret123456")
		if err != nil || n != wanted || accounts.walks != 0 || accounts.loads > 5 {
			t.Errorf("%s: %d, %v, with %d files opened and %d walks", user, n, err, accounts.loads, accounts.walks)
		}
	}
}
