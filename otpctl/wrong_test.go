package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"
)

var secretInFile = regexp.MustCompile(`(?m)^secret = ['"]([A-Z2-7]+)['"]`)

// setWrong NAME... sets each variable to a wrong code of its own. One that a
// script had of itself would be right in some run.
func setWrong(ts *testscript.TestScript, _ bool, args []string) {
	right := rightCodes(ts, nil)
	n := 0
	for _, name := range args {
		for right[sixDigits(n)] {
			n++
		}
		ts.Setenv(name, sixDigits(n))
		n++
	}
}

func sixDigits(n int) string { return fmt.Sprintf("%06d", n) }

// sentAtLogins is the postbox of what the command login has sent.
const sentAtLogins = "logins"

// rightCodes are those of the hours around, and of the first counters, of every
// secret file and of these secrets, and what was sent.
func rightCodes(ts *testscript.TestScript, secrets []string) map[string]bool {
	right := map[string]bool{}
	for _, post := range []string{ts.Getenv("POST"), ts.MkAbs(sentAtLogins)} {
		if _, err := os.Stat(post); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, code := range sentIn(ts, post) {
			right[code] = true
		}
	}
	files, err := filepath.Glob(ts.MkAbs("users") + "/*.toml")
	ts.Check(err)
	for _, file := range files {
		for _, found := range secretInFile.FindAllStringSubmatch(ts.ReadFile(file), -1) {
			secrets = append(secrets, found[1])
		}
	}
	for _, secret := range secrets {
		for n := range 250 {
			at := clock(ts.Getenv).Add(time.Duration(n-125) * 30 * time.Second)
			timed, err := totp.GenerateCodeCustom(secret, at, totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix})
			ts.Check(err)
			counted, err := hotp.GenerateCodeCustom(secret, uint64(n), hotp.ValidateOpts{Digits: otp.DigitsSix})
			ts.Check(err)
			right[timed], right[counted] = true, true
		}
	}
	return right
}
