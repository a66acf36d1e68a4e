package authstack

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/pamstack/pamtest"
)

// grammar makes stacks of modules that the doctor knows, and of some that it does
// not.
type grammar struct {
	*rand.Rand
	dir   string // of the stand-ins for modules
	lines int
}

func (g *grammar) one(of ...string) string { return of[g.IntN(len(of))] }

var modules = []string{"pam_unix.so", "pam_sss.so", "pam_otpgate.so", "pam_deny.so", "pam_permit.so", "pam_succeed_if.so", "pam_fprintd.so",
	"pam_wheel.so", "pam_access.so", "pam_faillock.so", "pam_env.so", "pam_rootok.so", "pam_homegrown.so"}

func (g *grammar) control() string {
	if g.IntN(2) == 0 {
		return g.one("required", "requisite", "sufficient", "optional")
	}
	var pairs []string
	for range 1 + g.IntN(3) {
		action := g.one("ignore", "ok", "done", "bad", "die", "reset", "1", "2", "3")
		pairs = append(pairs, g.one("success", "auth_err", "perm_denied", "user_unknown", "authinfo_unavail", "ignore", "default")+"="+action)
	}
	return "[" + strings.Join(pairs, " ") + "]"
}

func (g *grammar) line(includes []string) string {
	switch n := g.IntN(12); {
	case n < 2 && len(includes) > 0:
		return "auth " + g.one("include", "substack") + " " + g.one(includes...)
	case n == 2 && len(includes) > 0:
		return "@include " + g.one(includes...)
	case n == 3:
		return g.one("# comment", "account required pam_permit.so", "auth required", "auth requird "+g.dir+"/pam_env.so")
	}
	g.lines++
	name := g.one(modules...)
	switch argument := g.one("", "", " split", " authfail", " authsucc"); {
	case argument == " split" && name == ModuleName, argument != "" && name == "pam_faillock.so":
		return fmt.Sprintf("auth %s %s/%s%s id=%d", g.control(), g.dir, name, argument, g.lines)
	}
	return fmt.Sprintf("auth %s %s/%s id=%d", g.control(), g.dir, name, g.lines)
}

// service writes one, and what it includes.
func (g *grammar) service(t testing.TB, conf string, n int) string {
	t.Helper()
	var includes []string
	name := ""
	for i, most := range []int{3, 3, 6} {
		var text strings.Builder
		for range 1 + g.IntN(most) {
			text.WriteString(g.line(includes) + "\n")
		}
		name = fmt.Sprintf("s%d-%d", n, i)
		if err := os.WriteFile(filepath.Join(conf, name), []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		includes = append(includes, name)
	}
	return name
}

var outcomes = []Outcome{
	{true, RightCode}, {true, WrongCode}, {true, NotAsked}, {false, RightCode}, {false, WrongCode}, {false, NotAsked},
}

// meant is a return that a module of that kind may have for somebody, chosen by
// itself and not out of those that the doctor tries.
func (g *grammar) meant(k kind, line pamstack.Line, outcome Outcome) pamstack.Return {
	failures := []pamstack.Return{pamstack.AuthErr, pamstack.UserUnknown, pamstack.PermDenied, 9, pamstack.MaxTries}
	failure := failures[g.IntN(len(failures))]
	switch k {
	case password:
		if outcome.Password && g.IntN(3) > 0 {
			return pamstack.Success
		}
		return failure
	case conditional:
		return append(failures, pamstack.Success, pamstack.Success, pamstack.Ignore)[g.IntN(len(failures)+3)]
	case passive:
		if line.Has("authfail") {
			return pamstack.AuthErr
		}
		return []pamstack.Return{pamstack.Success, pamstack.Ignore}[g.IntN(2)]
	}
	return returnsOf(k, line, outcome)[0]
}

// trial is a login that libpam is asked about.
type trial struct {
	question string
	// told are the ids of the lines that are to be reached, and result the return.
	told   string
	result pamstack.Return
}

// trialOf is a walk as a question.
func (s Stack) trialOf(result pamstack.Result) trial {
	t := trial{question: s.Service, result: result.Return}
	returns := map[string]string{} // of a file that is included twice, one for each time
	for _, step := range result.Steps {
		if line := s.Lines[step.Line]; line.Kind == pamstack.Module {
			id := line.Arg("id")
			returns[id] += "," + strconv.Itoa(int(step.Return))
			t.told += " " + id
		}
	}
	for _, id := range slices.Sorted(maps.Keys(returns)) {
		t.question += "\t#" + id + "=" + returns[id][1:]
	}
	return t
}

// trials are some of the ways that the doctor finds, and some logins of which it
// is to know whether they get in.
func (g *grammar) trials(t *testing.T, s Stack) (all []trial, whole bool) {
	t.Helper()
	const sample, made = 8, 4
	kinds := s.kinds()
	for _, outcome := range outcomes {
		ways := s.paths(outcome)
		if len(ways) == maxPaths {
			return nil, false
		}
		for _, n := range g.Perm(len(ways))[:min(sample, len(ways))] {
			all = append(all, s.trialOf(ways[n].Result))
		}
		for range made {
			result := pamstack.Walk(s.Lines, func(i int) pamstack.Return { return g.meant(kinds[i], s.Lines[i], outcome) })
			if result.Return == pamstack.Success && !s.LetsIn(outcome) {
				t.Errorf("%+v gets in, and the doctor knows no way", outcome)
			}
			all = append(all, s.trialOf(result))
		}
	}
	return all, true
}

// agree has the real libpam walk the ways of so many random stacks.
func agree(t *testing.T, libpam pamtest.Libpam, stand string, seed uint64, count int) (agreed int) {
	t.Helper()
	root := t.TempDir()
	conf := root + pamstack.AdminDir
	if err := os.MkdirAll(conf, 0o755); err != nil {
		t.Fatal(err)
	}
	g := &grammar{Rand: rand.New(rand.NewPCG(seed, seed)), dir: stand}
	if err := os.WriteFile(filepath.Join(conf, pamstack.Other), []byte("account required pam_permit.so\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var all []trial
	for n := range count {
		s, err := Load(pamstack.Tree{Root: root, Debian: true}, g.service(t, conf, n), config.Default())
		if err != nil {
			t.Fatal(err)
		}
		if trials, whole := g.trials(t, s); whole {
			all = append(all, trials...)
			agreed++
		}
	}
	cmd := libpam.Within(conf, libpam.Tries)
	var questions strings.Builder
	for _, trial := range all {
		questions.WriteString(trial.question + "\n")
	}
	cmd.Stdin = strings.NewReader(questions.String())
	output, err := cmd.Output()
	answers := strings.Split(strings.TrimSuffix(string(output), "\n"), "\n")
	if err != nil || len(answers) != len(all) {
		t.Fatalf("%d answers to %d questions, %v", len(answers), len(all), err)
	}
	for n, trial := range all {
		told, result := heard(answers[n])
		if told != trial.told || result != strconv.Itoa(int(trial.result)) {
			t.Fatalf("%s: libpam reaches%s and returns %s, the doctor's walk%s and %d", trial.question, told, result, trial.told, trial.result)
		}
	}
	return agreed
}

// heard are the ids that an answer tells, and the return.
func heard(answer string) (told, result string) {
	answer, _, _ = strings.Cut(answer, "\taccount")
	fields := strings.Split(answer, "\t")
	for _, field := range fields[1 : len(fields)-1] {
		_, id, _ := strings.Cut(field, "id=")
		told += " " + strings.TrimSuffix(id, "|")
	}
	return told, fields[len(fields)-1]
}

// standIns are the modules.
func standIns(t testing.TB, libpam pamtest.Libpam) string {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile(libpam.Module)
	for _, name := range modules {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Over a thousand random stacks the real libpam goes the ways that the doctor
// finds, and lets in with them whom the doctor says.
func TestWaysAreLibpams(t *testing.T) {
	const stacks, seeds = 110, 10
	libpam := pamtest.New(t)
	stand, agreed := standIns(t, libpam), 0
	for seed := range uint64(seeds) {
		agreed += agree(t, libpam, stand, seed, stacks)
	}
	if agreed < 1000 {
		t.Errorf("%d of %d stacks have few enough ways to be tried, expected 1000", agreed, stacks*seeds)
	}
}

// FuzzWays goes on with other stacks.
func FuzzWays(f *testing.F) {
	libpam := pamtest.New(f)
	stand := standIns(f, libpam)
	for seed := range uint64(3) {
		f.Add(1000 + seed)
	}
	// Few at a time: go test takes an input of more than ten seconds for one that hangs.
	f.Fuzz(func(t *testing.T, seed uint64) { agree(t, libpam, stand, seed, 2) })
}
