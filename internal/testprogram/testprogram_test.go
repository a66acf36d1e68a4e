package testprogram

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// Others fork all the time, and each program runs.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for n := range 20 {
				path := filepath.Join(dir, strconv.Itoa(worker*100+n))
				if err := Write(path, []byte("#!/bin/sh\n")); err != nil {
					t.Error(err)
				}
				if err := exec.Command(path).Run(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
