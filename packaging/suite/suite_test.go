package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/testprogram"
)

// fakeGo is a go whose tests pass but for one, which fails in every second
// round, and a package that does not build. It notes how it was called.
const fakeGo = `#!/bin/sh
echo "$*" >>"$0.calls"
if [ "$1" = list ]; then
	echo github.com/otpgate/otpgate/internal/a
	echo github.com/otpgate/otpgate/internal/b
	exit
fi
p='"Package":"github.com/otpgate/otpgate/internal/'
say() { printf '{%s}\n' "$1"; }
say '"Action":"start",'"$p"'a"'
say '"Action":"output",'"$p"'a","Output":"ok  \ta\t(cached)\n"'
say '"Action":"pass",'"$p"'a","Elapsed":0.1'
say '"Action":"start",'"$p"'b"'
say '"Action":"run",'"$p"'b","Test":"TestX"'
say '"Action":"run",'"$p"'b","Test":"TestX/one"'
say '"Action":"run",'"$p"'b","Test":"TestX/two"'
say '"Action":"output",'"$p"'b","Test":"TestX/one","Output":"what one said\n"'
say '"Action":"output",'"$p"'b","Test":"TestX/two","Output":"what two said\n"'
say '"Action":"output",'"$p"'b","Test":"TestX","Output":"what both said\n"'
say '"Action":"output",'"$p"'b","Output":"what the package said\n"'
say '"Action":"pass",'"$p"'b","Test":"TestX/two"'
echo 'no event'
n=$(grep -c ^test "$0.calls")
if [ "$FAIL" = always ] || { [ "$FAIL" = sometimes ] && [ $((n % 2)) = 0 ]; }; then
	say '"Action":"fail",'"$p"'b","Test":"TestX/one"'
	say '"Action":"fail",'"$p"'b","Test":"TestX"'
	say '"Action":"run",'"$p"'b","Test":"TestHangs"'
	say '"Action":"fail",'"$p"'b","Elapsed":2'
	exit 1
elif [ "$FAIL" = outside ]; then
	say '"Action":"pass",'"$p"'b","Test":"TestX/one"'
	say '"Action":"pass",'"$p"'b","Test":"TestX"'
	say '"Action":"fail",'"$p"'b","Elapsed":2'
	exit 1
elif [ "$FAIL" = build ]; then
	say '"Action":"build-output","ImportPath":"b [b.test]","Output":"b.go:1: no such thing\n"'
	say '"Action":"build-fail","ImportPath":"b [b.test]"'
	say '"Action":"fail",'"$p"'b","Elapsed":0,"FailedBuild":"b [b.test]"'
	exit 1
elif [ "$FAIL" = silently ]; then
	exit 2
fi
say '"Action":"pass",'"$p"'b","Test":"TestX/one"'
say '"Action":"pass",'"$p"'b","Test":"TestX"'
say '"Action":"pass",'"$p"'b","Elapsed":2'
`

// goTest is how each call of go test begins.
var goTest = fmt.Sprintf("test -json -timeout 40m -vet off -ldflags -w -p %d", runtime.NumCPU()+1)

// suite runs the suite with the fake and says what it wrote and how it called
// go.
func suite(t *testing.T, fail string, s settings) (out, calls string, err error) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "go")
	if err := testprogram.Write(program, []byte(fakeGo)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GO", program)
	t.Setenv("FAIL", fail)
	s.logs = filepath.Join(dir, "failed")
	var text strings.Builder
	err = run(s, &text)
	data, readErr := os.ReadFile(program + ".calls")
	if readErr != nil {
		t.Fatal(readErr)
	}
	// However long it took.
	out = regexp.MustCompile(`(?m)^[ \d]\d:\d\d `).ReplaceAllString(text.String(), " 0:00 ")
	return strings.ReplaceAll(out, s.logs, "LOGS"), string(data), err
}

func TestPasses(t *testing.T) {
	out, calls, err := suite(t, "", settings{times: 1, packages: []string{"./..."}})
	if err != nil || out != " 0:00  ok    internal/a (cached)\n 0:00  no event\n 0:00  ok    internal/b 2s\n" {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.HasPrefix(calls, "list ./...\n"+goTest+" -race ") || strings.Contains(calls, "shuffle") {
		t.Errorf("called\n%s", calls)
	}
}

// One failure in any round is one of the whole, and who failed how often is
// told once, by the name of the test that failed itself.
func TestTellsWhatFailed(t *testing.T) {
	out, calls, err := suite(t, "sometimes", settings{times: 5, load: 1, shuffle: true, test: "TestX"})
	if err == nil || strings.Count(calls, "-shuffle on -count 1 -run TestX github.com/otpgate/otpgate/internal/a ") != 5 {
		t.Errorf("%v, called\n%s", err, calls)
	}
	_, end, _ := strings.Cut(out, "round 5 of 5")
	for _, want := range []string{
		"failed 2 of 5: internal/b TestX/one; output in LOGS/002\n", "failed 2 of 5: internal/b TestHangs (had not ended); output in LOGS/002\n",
	} {
		if !strings.Contains(end, want) {
			t.Errorf("expected %q in\n%s", want, end)
		}
	}
	if strings.Count(end, "failed 2 of 5") != 2 {
		t.Errorf("more failed:\n%s", end)
	}
	for text, times := range map[string]int{"what one said": 2, "what both said": 2, "what the package said": 2, "what two said": 0} {
		if strings.Count(out, text) != times {
			t.Errorf("expected %q %d times, the output of what failed and of nothing else:\n%s", text, times, out)
		}
	}
}

func TestTellsOtherFailures(t *testing.T) {
	for fail, want := range map[string]string{
		"outside":  "failed 1 of 1: internal/b (not one of its tests); output in LOGS/001\n",
		"build":    "b.go:1: no such thing\n",
		"always":   "failed 1 of 1: internal/b TestX/one; output in LOGS/001\n",
		"silently": "",
	} {
		out, _, err := suite(t, fail, settings{times: 1})
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s", fail, err, out)
		}
	}
}

// All that a package said is kept, also by the tests that passed.
func TestKeepsOutput(t *testing.T) {
	dir := t.TempDir()
	r := newRound(&strings.Builder{})
	const name = "github.com/otpgate/otpgate/internal/b"
	for _, e := range []event{
		{Action: "run", Package: name, Test: "TestX"},
		{Action: "output", Package: name, Test: "TestX", Output: "what it said\n"},
		{Action: "pass", Package: name, Test: "TestX"},
		{Action: "output", Package: name, Output: "all the rest\n"},
		{Action: "fail", Package: name},
	} {
		r.take(e)
	}
	if err := r.keep(dir); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(dir + "/internal_b.log"); err != nil || string(text) != "what it said\nall the rest\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// What computes beside the tests ends when it is told to.
func TestBusyEnds(t *testing.T) {
	stop := busy(3)
	stop()
}

// What is built apart is tested apart, whatever else is asked for.
func TestRaceDetector(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "go")
	if err := testprogram.Write(program, []byte("#!/bin/sh\necho \"$*\" >>\"$0.calls\"\n")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GO", program)
	const m = "github.com/otpgate/otpgate"
	if err := newRound(&strings.Builder{}).all(settings{}, []string{m, m + "/e2e", m + "/internal/gate", m + "/internal/factor", m + "/pam_module/front/fronttest", m + "/pam_module/fronts"}); err != nil {
		t.Fatal(err)
	}
	calls, err := os.ReadFile(program + ".calls")
	want := goTest + " -race " + m + "/internal/gate " + m + " " + m + "/pam_module/fronts\n" +
		goTest + " " + m + "/e2e " + m + "/pam_module/front/fronttest " + m + "/internal/factor\n"
	if err != nil || string(calls) != want {
		t.Errorf("%v, called\n%s", err, calls)
	}
}

// Those that take longest begin first, and all of them are still there.
func TestLongestFirst(t *testing.T) {
	names := []string{"github.com/otpgate/otpgate", "github.com/otpgate/otpgate/internal/a"}
	for _, name := range slices.Backward(longest) {
		names = append(names, "github.com/otpgate/otpgate/"+name)
		if tests, err := filepath.Glob("../../" + name + "/*_test.go"); err != nil || len(tests) == 0 {
			t.Errorf("%s has no tests, %v", name, err)
		}
	}
	var sorted []string
	for _, name := range byLength(names) {
		sorted = append(sorted, short(name))
	}
	if want := append(slices.Clone(longest), ".", "internal/a"); !slices.Equal(sorted, want) {
		t.Errorf("%v, expected %v", sorted, want)
	}
}
