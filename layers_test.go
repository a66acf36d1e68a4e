// Package otpgate_test holds what is true of the tree as a whole.
package otpgate_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/otpgate/otpgate/"

// layers are the packages by height. An import goes down, never sideways or
// up. What is not named here is a command or, with test in its name, a test tool, and
// may import all but those.
var layers = map[string]int{
	"internal/audit":                0,
	"internal/bounded":              0,
	"internal/closeonexec":          0,
	"internal/document":             0,
	"internal/nss":                  0,
	"internal/ratelimit":            0,
	"internal/pamstack":             0,
	"internal/placeholder":          0,
	"internal/daemon":               0,
	"internal/portalwire":           0,
	"internal/safefile":             0,
	"internal/sftp/deny":            0,
	"internal/sftp/sftpwire":        0,
	"internal/sftpd/algorithms":     0,
	"internal/sftpd/authkeys":       0,
	"internal/sftpd/confine":        0,
	"internal/sftpd/fields":         0,
	"internal/sftpd/monitor":        0,
	"internal/sftpd/seqpacket":      0,
	"internal/spelling":             0,
	"internal/testaddress":          0,
	"internal/testprogram":          0,
	"internal/testuid":              0,
	"internal/testwait":             0,
	"internal/keylock":              0,
	"internal/tomlfile":             0,
	"internal/wire":                 0,
	"internal/catalogue":            1,
	"internal/config":               1,
	"internal/doctor/finding":       1,
	"internal/keyring":              1,
	"internal/remotewire":           1,
	"internal/sftp/longname":        1,
	"internal/sftpd/messages":       1,
	"internal/sftpd/usercert":       1,
	"pam_module/fronts":             1,
	"internal/account":              2,
	"internal/clients":              2,
	"internal/deliver":              2,
	"internal/doctor/authstack":     2,
	"internal/doctor/excuse":        2,
	"internal/ledger":               2,
	"internal/pinned":               2,
	"internal/sftp":                 2,
	"internal/origins":              2,
	"internal/sftpd/admission":      3,
	"internal/sftpd/session":        2,
	"internal/sftpd/stderrlog":      1,
	"internal/doctor/lostline":      3,
	"internal/doctor/target":        3,
	"internal/factor":               3,
	"internal/handshake":            3,
	"internal/ledger/casledger":     3,
	"internal/otpauth":              3,
	"internal/sftp/local":           3,
	"internal/sftpd/workerfiles":    3,
	"internal/tokenfile":            3,
	"internal/account/casaccount":   4,
	"internal/breakglass":           4,
	"internal/doctor/asking":        4,
	"internal/doctor/keyfiles":      4,
	"internal/doctor/pamfiles":      4,
	"internal/doctor/unit":          4,
	"internal/enrollment":           4,
	"internal/ledger/etcdledger":    4,
	"internal/ledger/ledgermove":    4,
	"internal/ledger/ledgersocket":  4,
	"internal/portal":               4,
	"internal/remotelogin":          4,
	"internal/rollout":              4,
	"internal/deliver/transport":    5,
	"internal/doctor/console":       5,
	"internal/doctor/daemons":       5,
	"internal/doctor/remote":        5,
	"internal/doctor/root":          5,
	"internal/doctor/secretfiles":   5,
	"internal/doctor/servers":       5,
	"internal/doctor/sharedledger":  5,
	"internal/doctor/sshd":          5,
	"internal/doctor/webpage":       5,
	"internal/doctor/withoutcode":   5,
	"internal/gate":                 5,
	"internal/admin":                6,
	"internal/doctor":               6,
	"internal/sftpd/authentication": 6,
	"internal/verifierlogin":        6,
	"internal/backup":               7,
	"internal/invitation":           7,
	"internal/migrate":              7,
	"internal/selfservice":          8,
	"internal/portalanswer":         9,
	"otpctl/invocation":             8,
	"pam_module/serve":              8,
	"otpctl/logins":                 9,
	"otpctl/machines":               9,
	"otpctl/peoplefile":             9,
	"otpctl/secrets":                9,
	"otpctl/setup":                  9,
	"otpctl/invitations":            10,
	"otpctl/people":                 10,
	"otpctl/transfer":               11,
	"otpctl/command":                12,
}

// sources calls do for every file of Go.
func sources(do func(path string) error) error { return files(".go", do) }

// files calls do for every file with that ending, and looks at nothing in which others make
// and remove directories meanwhile: git, and whoever builds.
func files(ending string, do func(path string) error) error {
	return filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err == nil && entry.IsDir() && (path == ".git" || path == "build"):
			return fs.SkipDir
		case err != nil || entry.IsDir() || !strings.HasSuffix(path, ending):
			return err
		}
		return do(path)
	})
}

// Secret files may be in etcd, where package gate looks for them if the configuration says
// so. What opens the directory by itself would take everybody for not enrolled.
func TestSecretFilesByTheGate(t *testing.T) {
	may := []string{"internal/gate/open.go", "otpctl/machines/ledgermove.go", "otpctl/machines/peoplemove.go"}
	err := sources(func(path string) error {
		text, err := os.ReadFile(path)
		if err == nil && !strings.HasSuffix(path, "_test.go") && strings.Contains(string(text), "account.PlaceOf(") != slices.Contains(may, path) {
			t.Errorf("%s: expected gate.PlaceOf, or account.PlaceOf in %s alone", path, strings.Join(may, ", "))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestImportsGoDown(t *testing.T) {
	seen := map[string]bool{}
	err := sources(func(path string) error {
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		layer, known := layers[filepath.Dir(path)]
		if !known {
			return unlayered(t, path)
		}
		seen[filepath.Dir(path)] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			name, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			if lower, known := layers[name]; !known || lower >= layer {
				t.Errorf("%s imports %s, which is not below it", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != len(layers) {
		t.Errorf("found only %v of the packages in the table", seen)
	}
}

// unlayered looks at a file of a package that is not in the table.
func unlayered(t *testing.T, path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly)
	below := strings.HasPrefix(path, "internal/") || strings.HasPrefix(path, "otpctl/") && path != "otpctl/main.go"
	if err == nil && below && !strings.Contains(file.Name.Name, "test") {
		t.Errorf("%s: package %s has no height in the table, and is neither a command nor a test tool by its name", path, file.Name.Name)
	}
	return err
}

// Whoever looks for the place of a change finds each package in CONTRIBUTING.md, by a
// link to its folder or to one above.
func TestPackagesAreFound(t *testing.T) {
	text, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	err = sources(func(path string) error {
		for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
			if strings.Contains(string(text), "]("+dir+")") {
				return nil
			}
		}
		if filepath.Dir(path) != "." {
			t.Errorf("CONTRIBUTING.md does not say what is in %s", filepath.Dir(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// No two packages have one name, so that a name in the code says which is meant.
func TestNamesOfPackages(t *testing.T) {
	output, err := exec.Command("go", "list", "-f", "{{.Name}} {{.ImportPath}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{"main": ""}
	for line := range strings.Lines(string(output)) {
		name, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		if other := seen[name]; other != "" {
			t.Errorf("%s and %s have the same name", other, path)
		}
		if name != "main" {
			seen[name] = path
		}
	}
}

// TestCoreIsLean keeps out of the core what every forked login would pay for
// at its start.
func TestCoreIsLean(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./pam_module/core").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		switch dep {
		case "net", "net/http", "crypto/tls", "regexp", "text/template", "github.com/spf13/cobra":
			t.Errorf("the core links %s", dep)
		}
	}
}

// TestWhoSpeaksWithEtcd keeps etcd's client, which is larger than all else together,
// out of whatever decides logins, and of the admin's command.
func TestWhoSpeaksWithEtcd(t *testing.T) {
	programs := []string{"./pam_module/core", "./pam_module/verifierd", "./pam_module/send", "./gateway", "./portal", "./otpctl", "./sftpd", "./sftpd/front", "./sftpd/login", "./sftpd/worker"}
	out, err := exec.Command("go", append([]string{"list", "-deps"}, programs...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		if strings.HasPrefix(dep, "go.etcd.io/") || strings.HasPrefix(dep, "google.golang.org/grpc") {
			t.Errorf("one of %v links %s", programs, dep)
		}
	}
}

// TestPartsOfTheServerAreLean keeps what is started for each session small, and
// what speaks with clients apart from what decides.
func TestPartsOfTheServerAreLean(t *testing.T) {
	for program, unwanted := range map[string][]string{
		"./sftpd/worker": {"net", "net/http", "crypto/tls", "regexp", "os/user", "encoding/json", "golang.org/x/crypto/ssh"},
		"./sftpd/login":  {"net", "net/http", "crypto/tls", "regexp", "golang.org/x/crypto/ssh"},
		"./sftpd/front":  {"net/http", "os/user", "os/exec", module + "internal/gate", module + "internal/config", module + "internal/ledger", module + "internal/account"},
	} {
		out, err := exec.Command("go", "list", "-deps", program).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range strings.Fields(string(out)) {
			if slices.Contains(unwanted, dep) {
				t.Errorf("%s links %s", program, dep)
			}
		}
	}
}
