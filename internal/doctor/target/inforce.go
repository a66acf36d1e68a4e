package target

import "context"

// InForce is what the machine's sshd says of logins that no Match is about.
func (m *Machine) InForce(ctx context.Context) (string, error) { return m.SSHD(ctx, Query{}) }
