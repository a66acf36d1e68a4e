package main

import (
	"slices"
	"strings"
)

// draftClients begin their identification so. They send SYMLINK as the draft
// says, the link first, to each server that does not call itself OpenSSH.
var draftClients = []string{"SSH-2.0-AsyncSSH_", "SSH-2.0-libssh_", "SSH-2.0-libssh-", "SSH-2.0-WinSCP_", "SSH-2.0-ssh2js"}

// linkFirst says whether a client is one of those. All others do as OpenSSH's.
func linkFirst(client string) bool {
	return slices.ContainsFunc(draftClients, func(begin string) bool { return strings.HasPrefix(client, begin) })
}
