// Package groups asks the machine's name services which groups somebody is in.
//
// The entry point is [Of]. It promises one question at a time: the C library
// reads a name service that cannot tell a person's groups by going through all
// of them, with a place that is the process's own (setgrent(3) is not safe among
// threads). Two questions at once then take the process down.
package groups

import (
	"os/user"
	"sync"
)

var one sync.Mutex

// Of returns the ids of the groups that account is in, the main one among them.
func Of(account *user.User) ([]string, error) {
	one.Lock()
	defer one.Unlock()
	return account.GroupIds()
}
