package root

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// powers are groups whose members are root if they want, with how.
var powers = map[string]string{
	"docker":      "docker run -v /:/mnt",
	"lxd":         "a container with the machine's disk",
	"incus-admin": "a container with the machine's disk",
	"libvirt":     "a virtual machine with the machine's disk",
	"disk":        "writing to the disk itself",
}

// installed are programs of which one is there where such a group gives anything.
var installed = map[string][]string{
	"docker":      {"/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd", "/snap/bin/docker", "/run/docker.sock"},
	"lxd":         {"/usr/bin/lxd", "/usr/sbin/lxd", "/usr/libexec/lxd/lxd", "/snap/bin/lxd", "/var/lib/lxd", "/var/snap/lxd"},
	"incus-admin": {"/usr/libexec/incus/incusd", "/usr/bin/incusd", "/usr/sbin/incusd", "/opt/incus/bin/incusd", "/var/lib/incus"},
	"libvirt":     {"/usr/sbin/libvirtd", "/usr/sbin/virtqemud", "/run/libvirt/libvirt-sock"},
}

// Groups looks at people whom a group makes root, where sudo and the like ask for a
// code. asked says whether somebody is to be asked for codes.
func (e *Exam) Groups(ctx context.Context, asked func(user string) bool) []finding.Finding {
	x := &exam{Exam: e}
	services := x.guarded("sudo", "sudo-i", "su", "su-l", "doas", "polkit-1")
	if len(services) == 0 {
		return nil
	}
	members, err := e.Machine.Members(ctx, nil, func(group string) bool { return powers[group] != "" })
	if err != nil {
		f := finding.NotLookedAt(finding.Note, "who is in docker and other groups that make root", err.Error())
		f.Follows, f.Fix = "Their members become root without a code.", "See that the name service answers: getent group."
		x.add(f)
	}
	of := map[string][]string{}
	for _, member := range members {
		for _, group := range member.Groups {
			of[group] = append(of[group], member.Name)
		}
	}
	for _, group := range slices.Sorted(maps.Keys(of)) {
		none := e.Machine.WithoutShell(of[group])
		x.group(group, slices.DeleteFunc(of[group], func(name string) bool { return name == "root" || slices.Contains(none, name) }), services, asked)
	}
	return x.findings
}

// group is about one, whose members log in.
func (e *exam) group(group string, members, services []string, asked func(user string) bool) {
	var with, without []string
	for _, name := range members {
		if asked(name) {
			with = append(with, name)
		} else {
			without = append(without, name)
		}
	}
	f := finding.Finding{ID: "group-makes-root", Services: services, File: "/etc/group"}
	for place, text := range target.Lines(e.Machine.Root, "/etc/group", 0) {
		if strings.HasPrefix(text, group+":") {
			f = finding.At(place, f)
		}
	}
	switch {
	case len(without) > 0:
		f.Severity = finding.Warning
		f.What = "The group " + group + " makes root of its members, and of these no code is asked at all: " + finding.Some(without) + "."
		f.Follows = "Who is in as one of them is root by " + powers[group] + ", and was never asked for the code that " + services[0] + " asks for."
		f.Fix = "Have them asked for one: otpctl enroll " + without[0] + ", and no exemption in policy.exempt. Or take them out of the group, which is in /etc/group or their main one."
	case len(with) > 0:
		f.Severity = finding.Warning
		if program := installed[group]; len(program) > 0 && !slices.ContainsFunc(program, e.Machine.Has) {
			f.Severity = finding.Note // what the group is for is not there
		}
		f.What = "The group " + group + " makes root of its members: " + finding.Some(with) + "."
		f.Follows = "They are root by " + powers[group] + ", without the code that " + services[0] + " asks for: whoever takes over a session of theirs needs none."
		f.Fix = "If that is not meant, take them out of the group, which is in /etc/group or their main one."
	default:
		return
	}
	e.add(f)
}
