package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const tmp = "/tmp"

// ownTmp gives the machine a /tmp of its own. What is killed leaves the sockets of
// agents, buses and X servers there, and on the real one they would pile up until no
// display is free. What the program itself has there stays: the source tree, if that is
// where it is, and the directories that its arguments and environment name, such as go
// test's.
func ownTmp() error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	kept := map[string]*os.File{}
	for _, name := range needed(here) {
		dir, err := os.OpenFile(filepath.Join(tmp, name), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue // no directory, or none yet
		}
		defer dir.Close()
		kept[name] = dir
	}
	if err := tmpfs(tmp, "mode=1777"); err != nil {
		return err
	}
	for name, dir := range kept {
		path := filepath.Join(tmp, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("keep %s: %w", path, err)
		}
	}
	// Whoever goes by the path comes to where the program is.
	if err := os.Chdir(here); err != nil {
		return err
	}
	const displays = tmp + "/.X11-unix"
	if err := os.Mkdir(displays, 0o755); err != nil {
		return err
	}
	return os.Chmod(displays, 0o777|os.ModeSticky)
}

// needed are the names in /tmp that a program that is started here may look for.
func needed(here string) []string {
	texts := append([]string{here}, os.Args...)
	for _, variable := range environment() {
		_, value, _ := strings.Cut(variable, "=")
		texts = append(texts, value)
	}
	return namedIn(texts)
}

// namedIn are the names in /tmp that texts lead to, paths or flags with one.
func namedIn(texts []string) []string {
	var names []string
	for _, text := range texts {
		if _, value, ok := strings.Cut(text, "="); ok && strings.HasPrefix(text, "-") {
			text = value
		}
		path, below := strings.CutPrefix(filepath.Clean(text), tmp+"/")
		name, _, _ := strings.Cut(path, "/")
		if below && name != "" {
			names = append(names, name)
		}
	}
	return names
}
