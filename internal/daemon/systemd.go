package daemon

import (
	"fmt"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// NotifyReady, NotifyReloading and NotifyStopping tell systemd, if it started
// this (sd_notify(3)). Nothing depends on whether it hears them.
func NotifyReady() { notify(systemd.SdNotifyReady) }

// NotifyReloading must be followed by NotifyReady.
func NotifyReloading() {
	state := systemd.SdNotifyReloading
	// systemd 253 and later want the time with it.
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) == nil {
		state += fmt.Sprintf("\nMONOTONIC_USEC=%d", now.Nano()/1000)
	}
	notify(state)
}

// NotifyStopping is for the time in which what is open is finished.
func NotifyStopping() { notify(systemd.SdNotifyStopping) }

func notify(state string) { _, _ = systemd.SdNotify(false, state) }
