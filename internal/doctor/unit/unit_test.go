package unit

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree writes files below a root; a name that begins with "link " is one of a link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		bare, link := strings.CutPrefix(name, "link ")
		path := filepath.Join(root, bare)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		err := error(nil)
		if link {
			err = os.Symlink(text, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// text is what the services start, one a line.
func text(services []Service) string {
	var lines []string
	for _, s := range services {
		for _, c := range s.Commands {
			line := s.Name + ":"
			for _, word := range c.Words {
				line += " <" + word.Text + ">"
			}
			lines = append(lines, line+" "+c.Name)
		}
	}
	return strings.Join(lines, "\n")
}

const etc, vendor = "etc/systemd/system/", "usr/lib/systemd/system/"

var commands = map[string]struct {
	files map[string]string
	want  string
}{
	"variables": {map[string]string{
		vendor + "a.service": "[Service]\nEnvironment=\"ONE=x y\" TWO=z\nEnvironmentFile=-/etc/default/a\nEnvironmentFile=-/etc/none\nExecStart=/bin/d $ONE ${ONE} p${TWO}q $TWO $NONE $$HOME a$TWO\n",
		"etc/default/a":      "# TWO=no\nexport TWO='1 2'\n",
	}, "a.service: </bin/d> <x> <y> <x y> <p1 2q> <1> <2> <$HOME> <a$TWO> "},
	"quotes": {map[string]string{
		vendor + "a.service": "[Service]\nExecStart=@-/bin/d other \"a b\" 'c \"d' e\\ f \\\n  # not here\n  g\n",
	}, "a.service: </bin/d> <a b> <c \"d> <e f> <g> other"},
	"not expanded":  {map[string]string{vendor + "a.service": "[Service]\nEnvironment=A=1\nExecStart=:/bin/d $A 100%% %n\n"}, "a.service: </bin/d> <$A> <100%> <a.service> "},
	"not a service": {map[string]string{vendor + "a.service": "[Unit]\nExecStart=/bin/d\n[Service]\n# ExecStart=/bin/e\n;ExecStart=/bin/e\nExecStartPre=/bin/d\n"}, ""},
	"two": {map[string]string{vendor + "a.service": "[Service]\nExecStart=/bin/d 1\nExecStart=/bin/d 2\n"},
		"a.service: </bin/d> <1> \na.service: </bin/d> <2> "},
	"etc hides the vendor's": {map[string]string{
		vendor + "a.service": "[Service]\nExecStart=/bin/d 1\n", etc + "a.service": "[Service]\nExecStart=/bin/d 2\n",
	}, "a.service: </bin/d> <2> "},
	"masked by a link": {map[string]string{
		vendor + "a.service": "[Service]\nExecStart=/bin/d 1\n", "link " + etc + "a.service": "/dev/null",
	}, ""},
	"masked by an empty file": {map[string]string{
		vendor + "a.service": "[Service]\nExecStart=/bin/d 1\n", etc + "a.service": "",
	}, ""},
	"drop-ins in order": {map[string]string{
		vendor + "a.service":                       "[Service]\nExecStart=/bin/d $A\nEnvironment=A=0\n",
		vendor + "a.service.d/20-b.conf":           "[Service]\nEnvironment=A=2\n",
		etc + "a.service.d/10-a.conf":              "[Service]\nEnvironment=A=1\n",
		"run/systemd/system/a.service.d/30-c.conf": "[Service]\nExecStart=\nExecStart=/bin/d 3 $A\n",
	}, "a.service: </bin/d> <3> <2> "},
	"a drop-in hidden": {map[string]string{
		vendor + "a.service":             "[Service]\nExecStart=/bin/d 0\n",
		vendor + "a.service.d/20-b.conf": "[Service]\nExecStart=/bin/d 2\n",
		etc + "a.service.d/20-b.conf":    "[Service]\n",
	}, "a.service: </bin/d> <0> "},
	"a drop-in of an alias": {map[string]string{
		vendor + "a.service":        "[Service]\nExecStart=/bin/d 0\n",
		"link " + etc + "b.service": "/usr/lib/systemd/system/a.service",
		etc + "b.service.d/x.conf":  "[Service]\nExecStart=/bin/d b\n",
	}, "a.service: </bin/d> <0> \na.service: </bin/d> <b> "},
	"a drop-in of a prefix": {map[string]string{
		vendor + "a-b.service":      "[Service]\nExecStart=/bin/d 0\n",
		etc + "a-.service.d/x.conf": "[Service]\nExecStart=\nExecStart=/bin/d 1\n",
	}, "a-b.service: </bin/d> <1> "},
	"a drop-in alone": {map[string]string{etc + "a.service.d/x.conf": "[Service]\nExecStart=/bin/d 1\n"}, "a.service: </bin/d> <1> "},
	"instances": {map[string]string{
		vendor + "a@.service": "[Service]\nExecStart=/bin/d %i %p %N\n",
		"link " + etc + "multi-user.target.wants/a@x.service": "/usr/lib/systemd/system/a@.service",
		"link " + etc + "multi-user.target.wants/a@y.service": "/usr/lib/systemd/system/a@.service",
	}, "a@x.service: </bin/d> <x> <a> <a@x> \na@y.service: </bin/d> <y> <a> <a@y> "},
	"a template": {map[string]string{vendor + "a@.service": "[Service]\nExecStart=/bin/d %i\n"}, "a@.service: </bin/d> <%i> "},
}

// Commands are as systemd.service(5) says.
func TestCommands(t *testing.T) {
	t.Parallel()
	for name, test := range commands {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := text(Services(tree(t, test.files), "")); got != test.want {
				t.Errorf("found\n%s\nexpected\n%s", got, test.want)
			}
		})
	}
}

// A word is at the line that it comes from, and a service without the word that is
// looked for, in its text or its name, is left out.
func TestPlaces(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{
		vendor + "a.service": "[Service]\nEnvironmentFile=/etc/default/a\n\nExecStart=/bin/d \\\n -x $A\n",
		"etc/default/a":      "#\nA=1 # one\n",
		vendor + "b.service": "[Service]\nExecStart=/bin/e\n",
	})
	found := Services(root, "/bin/d")
	if len(found) != 1 || len(found[0].Commands) != 1 || !found[0].Whole {
		t.Fatalf("expected one service with one command, found %+v", found)
	}
	var places []string
	for _, word := range found[0].Commands[0].Words {
		places = append(places, word.Position.String())
	}
	unit := "/usr/lib/systemd/system/a.service:4"
	if want := []string{unit, unit, "/etc/default/a:2"}; !slices.Equal(places, want) {
		t.Errorf("found %v, expected %v", places, want)
	}
}
