package e2e

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/e2e/network"
)

// dialledFleet is a fleet whose servers listen nowhere, and dial all clients. A login
// there waits for a server that comes back until that has dialled.
func dialledFleet(t *testing.T, name string) (servers [2]*machine.Server, clients [3]machine.Site) {
	t.Helper()
	joined := network.New(t)
	var places [len(clients)]*network.Namespace
	var addresses []string
	for i := range places {
		places[i] = joined.NewNamespace(t)
		addresses = append(addresses, places[i].Address+":9153")
	}
	servers[0] = machine.NewServerThatDials(t, joined.NewNamespace(t), nil, name+"-s1", "", addresses...)
	servers[1] = machine.NewServerThatDials(t, joined.NewNamespace(t), servers[0], name+"-s2", "", addresses...)
	for i, client := range []string{name + "-c1", name + "-c2", name + "-c3"} {
		clients[i] = machine.NewClientIn(t, places[i], client, machine.Client{Listen: addresses[i]}, servers[:]...)
		clients[i].CodeOnly(t, client, "protocol=ssh")
	}
	return servers, clients
}

// It is the same over connections that the servers have made as over those that clients
// make: see TestRemoteServerFails.
func TestDialledServerFails(t *testing.T) {
	t.Parallel()
	for _, how := range losses {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			servers, clients := dialledFleet(t, "r-dialled-"+strings.ReplaceAll(how.name, " ", "-"))
			f := &brokenFleet{servers: servers, clients: clients, loss: how}
			f.sendTexts(t)
			for _, when := range moments {
				t.Log(when.name)
				f.fails(t, when)
			}
		})
	}
}
