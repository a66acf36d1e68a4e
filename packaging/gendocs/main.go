// Command gendocs writes otpctl's manual page, made from the command's own
// help, into a directory.
//
// It does not use cobra/doc: its pages give mandoc's lint a warning for each
// flag, and show flags with their Go defaults.
package main

import (
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/otpgate/otpgate/otpctl/command"
)

// date is the manual's, so that the same sources give the same page.
var date = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gendocs: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: gendocs DIRECTORY")
	}
	name := filepath.Join(os.Args[1], "otpctl.1")
	if err := os.WriteFile(name, []byte(page(command.Tree(), date)), 0o644); err != nil {
		log.Fatal(err)
	}
}
