package main

import (
	"runtime"
	"sync/atomic"
)

// busy has threads compute until it is told to stop. They are threads of this
// process, so that none can outlive it.
func busy(threads int) (stop func()) {
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(before + threads)
	var over atomic.Bool
	for range threads {
		go func() {
			runtime.LockOSThread()
			for !over.Load() {
			}
		}()
	}
	return func() {
		over.Store(true)
		runtime.GOMAXPROCS(before)
	}
}
