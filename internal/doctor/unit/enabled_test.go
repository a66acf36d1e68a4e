package unit

import "testing"

// What starts a unit is found wherever it stands; a mask takes all of it back.
func TestEnabled(t *testing.T) {
	t.Parallel()
	const wants = etc + "multi-user.target.wants/"
	for name, c := range map[string]struct {
		files map[string]string
		unit  string
		want  bool
	}{
		"installed":        {map[string]string{vendor + "a.service": "x"}, "a.service", false},
		"wanted":           {map[string]string{vendor + "a.service": "x", "link " + wants + "a.service": "/usr/lib/systemd/system/a.service"}, "a.service", true},
		"by the vendor":    {map[string]string{vendor + "a.service": "x", "link " + vendor + "x.target.requires/a.service": "../a.service"}, "a.service", true},
		"masked":           {map[string]string{"link " + etc + "a.service": "/dev/null", "link " + wants + "a.service": "/usr/lib/systemd/system/a.service"}, "a.service", false},
		"a masked want":    {map[string]string{vendor + "a.service": "x", "link " + wants + "a.service": "/dev/null"}, "a.service", false},
		"by its socket":    {map[string]string{vendor + "a.service": "x", "link " + etc + "sockets.target.wants/a.socket": "/usr/lib/systemd/system/a.socket"}, "a.service", true},
		"each connection":  {map[string]string{vendor + "a@.service": "x", "link " + etc + "sockets.target.wants/a.socket": "/usr/lib/systemd/system/a.socket"}, "a@.service", true},
		"an instance":      {map[string]string{vendor + "a@.service": "x", "link " + wants + "a@b.service": "/usr/lib/systemd/system/a@.service"}, "a@b.service", true},
		"another instance": {map[string]string{vendor + "a@.service": "x", "link " + wants + "a@b.service": "/usr/lib/systemd/system/a@.service"}, "a@c.service", false},
		"by a drop-in":     {map[string]string{vendor + "a.service": "x", etc + "sysinit.target.d/x.conf": "[Unit]\nWants=b.service a.service\n"}, "a.service", true},
		"by another name":  {map[string]string{vendor + "a.service": "x", "link " + etc + "display-manager.service": "/usr/lib/systemd/system/a.service"}, "a.service", true},
	} {
		if got := Enabled(tree(t, c.files), c.unit); got != c.want {
			t.Errorf("%s: found %v, expected %v", name, got, c.want)
		}
	}
}
