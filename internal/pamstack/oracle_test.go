package pamstack

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/pamstack/pamtest"
)

// debian says whose libpam this machine has.
var debian = Of("").Debian

// said is what became of a service, in the oracle's words.
func said(t *testing.T, command *exec.Cmd) [][]string {
	t.Helper()
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v", command.Path, err)
	}
	var all [][]string
	for line := range strings.Lines(string(output)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if fields[0] == "start" {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], strings.Join(fields, " "))
	}
	return all
}

// foretold is the same from Load and Walk.
func foretold(tree Tree, service, module string) []string {
	stack, err := tree.Load(service)
	if err != nil {
		return []string{"start " + strconv.Itoa(int(Abort))}
	}
	told := []string{"start 0"}
	for _, stage := range []Type{Auth, Account} {
		line := stage.String()
		lines := stack.Lines(stage)
		result := Walk(lines, func(i int) Return {
			if lines[i].Module != module {
				return ModuleUnknown
			}
			line += " " + strings.Join(append(lines[i].Args, ""), "|")
			n, err := strconv.Atoi(lines[i].Arg("ret"))
			if err != nil {
				return Success
			}
			return Return(n)
		})
		told = append(told, line+" "+strconv.Itoa(int(result.Return)))
	}
	return told
}

// composer writes files that an admin could have written, and some that nobody
// should have.
type composer struct {
	*rand.Rand
	module string
	lines  int
	// failing is a line that not every file may have: what Debian's libpam does
	// about an @include that fails within an include of one type depends on
	// memory that it has not set.
	failing string
}

func (c *composer) one(of ...string) string { return of[c.IntN(len(of))] }

func (c *composer) control() string {
	if c.IntN(3) > 0 {
		return c.one("required", "requisite", "optional", "sufficient", "Required")
	}
	if c.IntN(20) == 0 {
		return c.one("requird", "[success]", "[success=0]", "[=ok]", "[default=nonsense]", "[success=okay]", "[]", "[success=ok", "[success=9999]")
	}
	var pairs []string
	for range 1 + c.IntN(4) {
		action := c.one("ignore", "ok", "done", "bad", "die", "reset", "reset", strconv.Itoa(1+c.IntN(4)))
		pairs = append(pairs, c.one("success", "auth_err", "ignore", "default", "new_authtok_reqd", "user_unknown", "authtok_err")+c.one("=", " = ")+action)
	}
	return "[" + strings.Join(pairs, c.one(" ", "  ", "\t", "\\\n")) + "]"
}

// line is one line of a file that may include those behind it in the list. It
// has no comment between continued lines: libpam 1.7 ends a line there, older
// ones do not.
func (c *composer) line(includes []string) string {
	c.lines++
	kind := c.one("auth", "auth", "auth", "account", "-auth", "AUTH", "session")
	switch n := c.IntN(40); {
	case n < 8 && len(includes) > 0:
		return fmt.Sprintf("%s %s %s", kind, c.one("include", "substack", "substack", "INCLUDE"), c.one(includes...))
	case n < 10 && len(includes) > 0:
		return "@include " + c.one(includes...)
	case n == 10:
		return c.one("auth", "auth required", "autth required x.so", "auth include", "auth include missing",
			c.failing, "auth substack missing", "auth required /nowhere/module.so", "-auth sufficient /nowhere/module.so", "-auth required", "[auth] required "+c.module)
	case n == 11:
		return c.one("", "# comment", "   # comment \\", "\t")
	}
	result := c.one("0", "0", "0", "7", "7", "25", "12", "10", "6", "77", "-3")
	arguments := c.one("", "", " plain", " [in brackets]", ` [with \] one]`, " [open", " a#comment", " two words", " []", " x[stuck]")
	return fmt.Sprintf("%s%s%s%s%s id=%d%sret=%s%s", c.one("", " ", "\t"), kind, c.one(" ", "\t", " \\\n  "),
		c.control()+" ", c.module, c.lines, c.one(" ", "  ", " \\\n"), result, arguments)
}

func (c *composer) file(includes []string, lines int) string {
	var text strings.Builder
	for range c.IntN(lines + 1) {
		text.WriteString(c.line(includes) + "\n")
	}
	file := text.String()
	if c.failing != "" && c.IntN(50) == 0 {
		file += "auth required \\\n"
	} else if c.IntN(4) == 0 {
		file = strings.TrimSuffix(file, "\n")
	}
	return file
}

const randomStacks = 600

// Over random stacks the real library and Walk reach the same lines with the
// same arguments, and end the same.
func TestWalkIsLibpams(t *testing.T) {
	o := pamtest.New(t)
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			if agreed, crashed := agree(t, o, seed, randomStacks); agreed < randomStacks*3/4 {
				t.Errorf("only %d of %d stacks could be run, %d crashed libpam: the test shows little", agreed, randomStacks, crashed)
			}
		})
	}
}

// FuzzWalk goes on with other stacks.
func FuzzWalk(f *testing.F) {
	o := pamtest.New(f)
	for seed := range uint64(3) {
		f.Add(1000 + seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { agree(t, o, seed, 20) })
}

// agree compares so many stacks. It counts those that libpam ran, and those that
// crashed it.
func agree(t *testing.T, o pamtest.Libpam, seed uint64, count int) (agreed, crashed int) {
	t.Helper()
	root := t.TempDir()
	services := compose(t, seed, count, o.Module, root+AdminDir)
	for n, real := range said(t, o.Within(root+AdminDir, append([]string{o.Oracle, "-"}, services...)...)) {
		if real[0] == "start crash" {
			crashed++
			continue
		}
		want, got := strings.Join(real, "\n"), strings.Join(foretold(Tree{Root: root, Debian: debian}, services[n], o.Module), "\n")
		if got != want {
			t.Fatalf("%s: libpam:\n%s\nWalk:\n%s\n%s", services[n], want, got, show(root+AdminDir, n))
		}
		if strings.HasPrefix(want, "start 0\nauth") {
			agreed++
		}
	}
	return agreed, crashed
}

// What chance seldom makes: each is a service that includes the file x.
var seldom = map[string]struct{ service, x string }{
	"a substack forgets what was before it not": {"auth required MARK\nauth substack x\n", "auth required MARK ret=7\nauth [default=reset] MARK\n"},
	"nor what was bad before it":                {"auth required MARK ret=7\nauth substack x\nauth required MARK\n", "auth required MARK\nauth [default=reset] MARK\n"},
	"all is forgotten":                          {"auth required MARK ret=7\nauth [default=reset] MARK\nauth required MARK ret=10\n", ""},
	"out of two substacks":                      {"auth required MARK\nauth substack y\nauth required MARK\n", "auth sufficient MARK\nauth required MARK ret=7\n"},
	"a jump over a substack":                    {"auth [success=1 default=ignore] MARK\nauth substack x\nauth required MARK\n", "auth required MARK ret=7\nauth required MARK\n"},
	"a jump over half an include":               {"auth [success=1 default=ignore] MARK\nauth include x\nauth required MARK\n", "auth required MARK ret=7\nauth required MARK\n"},
	"a jump past the end of a substack":         {"auth required MARK\nauth substack x\nauth required MARK\n", "auth [success=3 default=bad] MARK\nauth required MARK ret=7\n"},
	"a jump to the end":                         {"auth required MARK\nauth [success=1 default=bad] MARK\nauth required MARK ret=7\n", ""},
	"die in a substack":                         {"auth substack x\nauth required MARK\n", "auth requisite MARK ret=7\nauth required MARK\n"},
	"the first bad one counts":                  {"auth required MARK ret=7\nauth required MARK ret=10\n", ""},
	"ignore cannot be returned":                 {"auth [ignore=bad] MARK ret=25\nauth required MARK\n", ""},
}

func TestSeldom(t *testing.T) {
	o := pamtest.New(t)
	for name, test := range seldom {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range map[string]string{
				"s": test.service, "x": test.x, "y": "auth required MARK\nauth substack x\nauth required MARK\n", Other: "account required MARK\n",
			} {
				number := 0
				for strings.Contains(text, "MARK") {
					number++
					text = strings.Replace(text, "MARK", fmt.Sprintf("%s id=%s%d", o.Module, file, number), 1)
				}
				write(t, root+AdminDir+"/"+file, text)
			}
			want := strings.Join(said(t, o.Within(root+AdminDir, o.Oracle, "-", "s"))[0], "\n")
			if got := strings.Join(foretold(Tree{Root: root, Debian: debian}, "s", o.Module), "\n"); got != want {
				t.Errorf("libpam:\n%s\nWalk:\n%s", want, got)
			}
		})
	}
}

// compose writes random services into dir, and what they include.
func compose(t *testing.T, seed uint64, count int, module, dir string) (services []string) {
	t.Helper()
	c := &composer{Rand: rand.New(rand.NewPCG(seed, seed)), module: module}
	write(t, filepath.Join(dir, Other), "auth required "+module+" id=other ret=0\naccount required "+module+" id=other ret=7\n")
	for n := range count {
		var includes []string
		c.failing = ""
		for i := range 4 {
			name := fmt.Sprintf("x%d-%d", n, i)
			write(t, filepath.Join(dir, name), c.file(includes, 4))
			includes = append(includes, name)
		}
		service := "s" + strconv.Itoa(n)
		c.failing = c.one("@include missing", "@INCLUDE missing")
		write(t, filepath.Join(dir, service), c.file(includes, 7))
		services = append(services, service)
	}
	return services
}

func show(conf string, n int) string {
	var all strings.Builder
	for _, name := range []string{"s" + strconv.Itoa(n), fmt.Sprintf("x%d-0", n), fmt.Sprintf("x%d-1", n), fmt.Sprintf("x%d-2", n), fmt.Sprintf("x%d-3", n)} {
		text, _ := os.ReadFile(filepath.Join(conf, name))
		fmt.Fprintf(&all, "== %s\n%s\n", name, text)
	}
	return all.String()
}
