package main

// directory knows whose program a uid is.
type directory struct {
	self  uint32
	names names
}

// kind says what programs of uid may do, as far as is known without looking.
func (d *directory) kind(uid uint32, allow, gateway *allowList) peerKind {
	switch {
	case uid == 0 || uid == d.self:
		return trusted
	case gateway.knows(uid):
		return forClients
	case allow.knows(uid):
		return allowed
	}
	return ordinaryUser
}

// isUser says whether uid is the user of that name. The error is for doubt.
func (d *directory) isUser(uid uint32, name string) (bool, error) {
	account, found, err := d.names.UserByID(uid)
	return err == nil && found && name != "" && account.Name == name, err
}
