package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/excuse"
)

const root = "../.."

func allPages(t *testing.T) map[string]string {
	t.Helper()
	all, err := pages(root)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPagesAreWellFormed(t *testing.T) {
	all := allPages(t)
	for _, want := range []string{"otpctl.1", "pam_otpgate.8", "otpgate-verifierd.8", "otpgate-gateway.8", "otpgate-ledgerd.8", "otpgate-portal.8", "otpgate-sftpd.8", "otpgate.toml.5", "otpgate-user.5", "otpgate-doctor.5"} {
		if all[want] == "" {
			t.Errorf("no page %s", want)
		}
	}
	dir := t.TempDir()
	if err := write(root, dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range all {
		path := filepath.Join(dir, "man"+filepath.Ext(name)[1:], name)
		// It fails where there is something to say, and says that of this
		// machine too: whether what a page refers to is installed.
		complaints, _ := exec.Command("mandoc", "-T", "lint", path).CombinedOutput()
		for line := range strings.Lines(string(complaints)) {
			if !strings.Contains(line, "referenced manual not found") && !strings.Contains(line, "outdated mandoc.db") {
				t.Errorf("mandoc: %s", line)
			}
		}
		for _, reference := range regexp.MustCompile(`(?m)^\.Xr (\S*otp\S*) (\d)`).FindAllStringSubmatch(text, -1) {
			if all[reference[1]+"."+reference[2]] == "" {
				t.Errorf("%s refers to %s(%s), which is no page", name, reference[1], reference[2])
			}
		}
		if shown, err := exec.Command("mandoc", "-T", "utf8", path).Output(); err != nil || strings.Contains(string(shown), "KEYS\n\nKEYS") || strings.ContainsAny(string(shown), boldOn+boldOff) {
			t.Errorf("%s as it is shown: %v", name, err)
		}
	}
}

// keysOf lists the keys of a file by its struct, with their tables.
func keysOf(v any) []string {
	var keys []string
	var walk func(t reflect.Type, prefix string)
	walk = func(t reflect.Type, prefix string) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		for i := range t.NumField() {
			field := t.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
			if name == "" || name == "-" {
				continue
			}
			if _, _, isTable := tableWithin(reflect.Zero(field.Type)); isTable {
				walk(field.Type, prefix+name+".")
				continue
			}
			keys = append(keys, prefix+name)
		}
	}
	walk(reflect.TypeOf(v), "")
	return keys
}

// Each key of the structs is on its page, in its table.
func TestPagesHaveEveryKey(t *testing.T) {
	all := allPages(t)
	for page, file := range map[string]struct {
		v     any
		least int
	}{"otpgate.toml.5": {config.Config{}, 10}, "otpgate-user.5": {account.Person{}, 10}, "otpgate-doctor.5": {excuse.File{}, 3}} {
		keys := keysOf(file.v)
		if len(keys) < file.least {
			t.Errorf("%s: found only %q", page, keys)
		}
		for _, full := range keys {
			table, key := "TABLES AND KEYS", full
			if dot := strings.LastIndexByte(full, '.'); dot >= 0 {
				table, key = "["+full[:dot]+"]", full[dot+1:]
			}
			_, section, found := strings.Cut(all[page], table)
			section, _, _ = strings.Cut(section, "\n.S")
			if !found || !strings.Contains(section, `\fB`+key+`\fP (`) {
				t.Errorf("%s: no word on %s in %s", page, key, table)
			}
		}
	}
}

// Each key is in the documents too, in its table.
func TestDocumentsHaveEveryKey(t *testing.T) {
	documented := documentedKeys(t)
	for _, full := range append(keysOf(config.Config{}), keysOf(account.Person{})...) {
		// A table within another may be written in one line, as a key of that.
		lines := documented[full]
		if parts := strings.Split(full, "."); len(parts) == 3 {
			lines += documented[parts[0]+"."+parts[1]]
		}
		key := full[strings.LastIndexByte(full, '.')+1:]
		if full == "services" {
			lines, key = documented["services.sshd"], "sshd"
		}
		if !regexp.MustCompile(`\b` + key + `\b`).MatchString(lines) {
			t.Errorf("docs/configuration.md: no word on %s", full)
		}
	}
	if documented["policy.nothing"] != "" || documented["email.smtp"] == "" || documented["policy.smtp"] != "" {
		t.Error("the test reads the documents wrongly")
	}
}

// documentedKeys are the lines of docs/configuration.md about keys, and of
// pages that a table has of its own: "key = …" below "[table]" in examples, and
// rows below "| `[table]` |".
func documentedKeys(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	header := regexp.MustCompile("^(?:\\[{1,2}|\\| `\\[)([a-z_.]+)\\]")
	example, row, name := regexp.MustCompile(`^([a-z_]+) *=`), regexp.MustCompile("^\\| (`[^|]*)"), regexp.MustCompile("`([a-z_]+)`")
	keys := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		table := ""
		for line := range strings.Lines(string(text)) {
			if found := header.FindStringSubmatch(line); found != nil {
				table = found[1] + "."
			} else if strings.HasPrefix(line, "```") {
				table = ""
			}
			var found [][]string
			if one := example.FindStringSubmatch(line); one != nil {
				found = append(found, one)
			} else if cell := row.FindStringSubmatch(line); cell != nil {
				found = name.FindAllStringSubmatch(cell[1], -1)
			}
			// A daemon's table has a page of its own.
			first, _, _ := strings.Cut(table, ".")
			if page := filepath.Base(path); page != "configuration.md" && page != first+"d.md" {
				continue
			}
			for _, one := range found {
				keys[table+one[1]] += line
			}
		}
	}
	return keys
}

// A key without a comment is an error, and so is one that the comment above it
// says nothing of.
func TestReaderWantsComments(t *testing.T) {
	type Sample struct {
		First  int `toml:"first"`
		Second int `toml:"second"`
	}
	for fields, want := range map[string]string{
		"// First is one.\nFirst int\n// Second is two.\nSecond int": "",
		"// First and Second are two.\nFirst int\nSecond int":        "",
		"// First is one.\nFirst int\nSecond int":                    "Second",
		"First int // one\nSecond int // two":                        "",
		"First int\nSecond int // two":                               "First",
	} {
		dir := t.TempDir()
		source := fmt.Sprintf("package sample\n\n// Sample is one.\ntype Sample struct {\n%s\n}\n", fields)
		if err := os.WriteFile(dir+"/sample.go", []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := newReader(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		tables, err := r.read(reflect.ValueOf(Sample{Second: 2}), "sample", false)
		if want == "" && (err != nil || len(tables) != 1) || want != "" && (err == nil || !strings.Contains(err.Error(), "Sample."+want+":")) {
			t.Errorf("%q: %v, %v", fields, tables, err)
		}
	}
	if _, err := newReader(t.TempDir(), nil); err == nil {
		t.Error("a directory without sources is read")
	}
}

// Nothing that only the source means is left on a page.
func TestPagesSpeakTheFilesLanguage(t *testing.T) {
	goNames := regexp.MustCompile(`\b([a-z]+\.[A-Z]\w+|[A-Z]+[a-z]+[A-Z][a-z]\w*)\b`)
	known := []string{"OpenSSH", "YubiKey", "KbdInteractiveAuthentication", "PasswordAuthentication"}
	for name, text := range allPages(t) {
		for _, found := range goNames.FindAllString(text, -1) {
			if name != "otpctl.1" && !slices.Contains(known, found) {
				t.Errorf("%s: %s", name, found)
			}
		}
	}
}

// The pages have every option and argument that the programs take.
func TestPagesHaveEveryOption(t *testing.T) {
	all := allPages(t)
	const option = `p\.\w+Var\(&[\w.]+, "(\w+)"`
	for _, test := range []struct {
		page, pattern, item string
		sources             []string
	}{
		{"otpgate-verifierd.8", option, ".It Fl -%s", []string{"pam_module/verifierd/main.go", "internal/daemon/daemon.go"}},
		{"otpgate-ledgerd.8", option, ".It Fl -%s", []string{"ledgerd/main.go", "internal/daemon/daemon.go"}},
		{"otpgate-portal.8", option, ".It Fl -%s", []string{"portal/main.go", "internal/daemon/daemon.go"}},
		{"otpgate-gateway.8", option, ".It Fl -%s", []string{"gateway/main.go", "internal/daemon/daemon.go"}},
		{"otpgate-sftpd.8", option, ".It Fl -%s", []string{"sftpd/main.go", "internal/daemon/daemon.go"}},
		{"pam_otpgate.8", `"(\w+)=?"`, ".It Cm %s", []string{"pam_module/front/args.c"}},
	} {
		var options [][]string
		for _, name := range test.sources {
			source, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			options = append(options, regexp.MustCompile(test.pattern).FindAllStringSubmatch(string(source), -1)...)
		}
		if len(options) < 2 {
			t.Errorf("%s: found only %q", test.sources, options)
		}
		for _, option := range options {
			if item := fmt.Sprintf(test.item, option[1]); option[1] != "off" && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(item)+`\b`).MatchString(all[test.page]) {
				t.Errorf("%s: no word on %s", test.page, option[1])
			}
		}
	}
}

// make install puts the pages where man looks, and make uninstall takes away
// no others.
func TestInstalledAndRemoved(t *testing.T) {
	prefix := t.TempDir()
	install := func(args ...string) {
		t.Helper()
		cmd := exec.Command("packaging/installdocs", append(args, prefix)...)
		cmd.Dir = root
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("installdocs: %v: %s; it needs make build", err, output)
		}
	}
	other := prefix + "/share/man/man8/other.8"
	install()
	for name, text := range allPages(t) {
		path := prefix + "/share/man/man" + filepath.Ext(name)[1:] + "/" + name
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o644 || info.Size() != int64(len(text)) {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if err := os.WriteFile(other, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	install("--remove")
	err := filepath.WalkDir(prefix, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && path != other {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
