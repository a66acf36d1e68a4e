package rollout

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/pamstack/pamtest"
)

// stock is a distribution's pam.d, and the services to enable there.
func stock(t *testing.T, file string) (root string, services []string) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root = t.TempDir()
	for _, f := range archive.Files {
		if f.Name == "services" {
			services = strings.Fields(string(f.Data))
			continue
		}
		put(t, root+"/"+f.Name, string(f.Data))
	}
	return root, services
}

// logins are who comes, by what each module says, whether they get in, and whether
// the code's prompt is seen.
var logins = []struct {
	who       string
	says      string
	in, asked bool
}{
	{"password and code", "", true, true},
	{"password and a wrong code", "pam_otpgate.so=7", false, true},
	{"password, not asked", "pam_otpgate.so=25", true, true},
	{"wrong password, right code", "pam_unix.so=7 pam_sss.so=7", false, false},
	{"of the directory", "pam_localuser.so=6 pam_unix.so=10", true, true},
	{"of the directory, wrong password", "pam_localuser.so=6 pam_unix.so=7 pam_sss.so=7", false, false},
	{"unknown to all", "pam_unix.so=10 pam_sss.so=10", false, false},
	{"locked, right password", "preauth=7", false, false},
	{"locked, wrong password", "preauth=7 pam_unix.so=7 pam_sss.so=7", false, false},
}

// says are the variables that the stand-ins for modules look at.
func says(words string) []string {
	told := map[string]string{"pam_rootok.so": "7", "pam_faillock.so authfail": "7"}
	for word := range strings.FieldsSeq(words) {
		name, value, _ := strings.Cut(word, "=")
		if name == "preauth" {
			name = "pam_faillock.so preauth"
		}
		told[name] = value
	}
	var all []string
	for name, value := range told {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return all
}

var moduleNames = regexp.MustCompile(`pam_[\w-]+\.so\b`)

// realLogins has the machine's libpam log everybody in through a service.
func realLogins(t *testing.T, libpam pamtest.Libpam, root, service string) {
	t.Helper()
	modules := map[string]string{authstack.ModuleName: libpam.Module}
	texts := ""
	for _, dir := range []string{"/etc/pam.d/*", "/usr/lib/pam.d/*"} {
		files, _ := filepath.Glob(root + dir)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts += string(data)
			for _, name := range moduleNames.FindAllString(string(data), -1) {
				modules[name] = libpam.Module
			}
		}
	}
	for _, name := range []string{"pam_deny.so", "pam_permit.so"} {
		found, err := filepath.Glob("/usr/lib/*-linux-gnu/security/" + name)
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %q, %v", name, found, err)
		}
		modules[name] = found[0]
	}
	for _, login := range logins {
		if strings.HasPrefix(login.who, "locked") && !strings.Contains(texts, "pam_faillock.so") || strings.HasPrefix(login.who, "of the directory") && !strings.Contains(texts, " pam_sss.so forward_pass") {
			continue
		}
		cmd := libpam.Chrooted(t, root, modules, libpam.Tries)
		cmd.Stdin = strings.NewReader(strings.Join(append([]string{service}, says(login.says)...), "\t") + "\n")
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		in := strings.Contains(string(output), "\taccount\t")
		if asked := strings.Contains(string(output), "\tdebug|"); in != login.in || asked != login.asked {
			t.Errorf("%s: in %v, asked %v, expected %v, %v: %s", login.who, in, asked, login.in, login.asked, output)
		}
	}
}

// In what distributions install, each service gets a stack of which the doctor has
// nothing to say, the real libpam lets in with both and shows nobody else the
// code's prompt, and what was there comes back to the byte.
func TestStock(t *testing.T) {
	libpam := pamtest.New(t)
	files, err := filepath.Glob("testdata/stock/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		_, services := stock(t, file)
		for _, service := range services {
			t.Run(filepath.Base(file)+" "+service, func(t *testing.T) {
				root, _ := stock(t, file)
				tree := pamstack.Of(root)
				edit, err := Plan(tree, config.Default(), service, Line{Module: authstack.ModuleName, Arguments: []string{"debug"}})
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range edit.Findings {
					t.Errorf("%s\n%s", f.String(), edit.After)
				}
				put(t, root+edit.Path, edit.After)
				realLogins(t, libpam, root, service)
				for _, login := range []string{service + "-i", service + "-l"} {
					if _, err := os.Stat(root + "/etc/pam.d/" + login); err == nil {
						realLogins(t, libpam, root, login) // it includes this one
					}
				}
				back, err := Remove(tree, config.Default(), service)
				if err != nil || back.After != edit.Before || edit.From != back.Vendor {
					t.Errorf("%v: expected\n%q\nfound\n%q", err, edit.Before, back.After)
				}
				if got := undone(edit.After); got != edit.Before {
					t.Errorf("to put it back, found\n%s", got)
				}
				if t.Failed() {
					t.Log(edit.After)
				}
			})
		}
	}
}

// Dry logins go through what is written out as people's do.
func TestStockDryLogin(t *testing.T) {
	for _, name := range []string{"rhel-sssd", "rhel-faillock", "fedora-local", "suse", "alpine"} {
		root, services := stock(t, "testdata/stock/"+name+".txtar")
		for _, service := range services {
			in := pamstack.Of(root)
			edit, err := Plan(in, config.Default(), service, plain)
			if err != nil {
				t.Fatal(err)
			}
			var reached []bool
			err = DryLogin(in, config.Default(), edit, func(confDir, service, _ string, answer func(string) (string, error)) (bool, error) {
				stack, err := pamstack.Tree{ConfDir: confDir}.Load(service)
				if err != nil {
					return false, err
				}
				lines, asked := stack.Lines(pamstack.Auth), false
				result := pamstack.Walk(lines, func(i int) pamstack.Return {
					switch lines[i].Name() {
					case "pam_permit.so":
						return pamstack.Success
					case authstack.ModuleName:
						asked = true
						if len(reached) == 0 {
							return pamstack.Success
						}
					}
					return pamstack.AuthErr
				})
				reached = append(reached, asked)
				if asked {
					_, err = answer("Verification code: ")
				}
				return result.Return == pamstack.Success, err
			})
			if err != nil || !slices.Equal(reached, []bool{true, true, false}) {
				t.Errorf("%s %s: asked with the right code, a wrong one, a wrong password: %v, %v", name, service, reached, err)
			}
		}
	}
}
