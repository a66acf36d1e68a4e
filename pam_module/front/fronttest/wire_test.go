package fronttest

import (
	gobuild "go/build"
	"go/constant"
	"go/importer"
	"go/token"
	"go/types"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode"
)

// wireNumbers reads the constants of internal/wire, also those it does not
// export, under the names they have in C.
func wireNumbers(t *testing.T) map[string]int64 {
	t.Helper()
	// A program that was built with -trimpath does not know where Go is.
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	gobuild.Default.GOROOT = strings.TrimSpace(string(root))
	wire, err := importer.ForCompiler(token.NewFileSet(), "source", nil).Import("github.com/otpgate/otpgate/internal/wire")
	if err != nil {
		t.Fatal(err)
	}
	renamed := map[string]string{"tagTTY": "WIRE_TAG_TTY", "ErrProtocol": ""}
	numbers := map[string]int64{}
	for _, name := range wire.Scope().Names() {
		object, ok := wire.Scope().Lookup(name).(*types.Const)
		if !ok {
			continue
		}
		value, exact := constant.Int64Val(constant.ToInt(object.Val()))
		if !exact {
			t.Fatalf("%s is no number", name)
		}
		if name == "MaxTimeout" {
			value /= int64(time.Second)
		}
		inC, ok := renamed[name]
		if !ok {
			inC = "WIRE_" + strings.TrimPrefix(upper(name), "TYPE_")
		}
		numbers[inC] = value
	}
	if len(numbers) < 20 {
		t.Fatalf("only %d constants in internal/wire", len(numbers))
	}
	return numbers
}

// upper makes MAX_ANSWER of MaxAnswer.
func upper(name string) string {
	var out strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToUpper(r))
	}
	return out.String()
}
