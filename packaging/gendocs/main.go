// Command gendocs writes the manual pages below a directory: otpctl's from the
// command's own help, those of packaging/man with the keys of the files they
// describe, which are read from the structs that hold them.
//
// It does not use cobra/doc: its pages give mandoc's lint a warning for each
// flag, and show flags with their Go defaults.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/otpgate/otpgate/otpctl/command"
)

// date is the manual's, so that the same sources give the same pages.
var date = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gendocs: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: gendocs DIRECTORY, which gets man1, man5 and man8; run it in the source tree")
	}
	if err := write(".", os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// write writes all pages below dir.
func write(root, dir string) error {
	all, err := pages(root)
	if err != nil {
		return err
	}
	for name, text := range all {
		section := filepath.Join(dir, "man"+strings.TrimPrefix(filepath.Ext(name), "."))
		err := errors.Join(os.MkdirAll(section, 0o755), os.WriteFile(filepath.Join(section, name), []byte(text), 0o644))
		if err != nil {
			return err
		}
	}
	return nil
}

// pages are the manual pages by their files' names. root is the source tree's.
func pages(root string) (map[string]string, error) {
	references := map[string]func(root string) ([]table, error){"otpgate.toml.5": configuration, "otpgate-user.5": secretFile, "otpgate-doctor.5": excuses}
	all := map[string]string{"otpctl.1": page(command.Tree(), date)}
	written, err := filepath.Glob(filepath.Join(root, "packaging/man/*.[1-9]"))
	if err != nil || len(written) == 0 {
		return nil, fmt.Errorf("no pages in %s/packaging/man", root)
	}
	for _, path := range written {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name, keys := filepath.Base(path), manual{}
		if read := references[name]; read != nil {
			tables, err := read(root)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			keys.tables(tables)
		}
		all[name] = strings.NewReplacer("\nKEYS\n", "\n"+keys.String(), ".Dd DATE", ".Dd "+date.Format("January 2, 2006")).Replace(string(text))
	}
	return all, nil
}
