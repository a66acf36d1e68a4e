package fronttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// source is how a file is compiled: by a command that takes its place between some words
// and others, and flags in the environment.
type source struct {
	before, after []string
	cflags        string
}

// made has what was compiled in this process: most kits differ in the front alone, or in
// nothing.
var made struct {
	sync.Mutex
	files map[string]func() ([]byte, error)
}

// compiled is a file, compiled once in each way.
func compiled(s source) ([]byte, error) {
	key := strings.Join(slices.Concat(s.before, []string{""}, s.after, []string{"", s.cflags}), "\x00")
	made.Lock()
	if made.files == nil {
		made.files = map[string]func() ([]byte, error){}
	}
	file := made.files[key]
	if file == nil {
		file = sync.OnceValues(s.compile)
		made.files[key] = file
	}
	made.Unlock()
	return file()
}

func (s source) compile() ([]byte, error) {
	dir, err := os.MkdirTemp("", "compiled")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "file")
	words := slices.Concat(s.before, []string{path}, s.after)
	command := exec.Command(words[0], words[1:]...)
	command.Env = append(os.Environ(), "CFLAGS="+s.cflags)
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", command.Args, err, output)
	}
	return os.ReadFile(path)
}
