package rollout

import (
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
)

// What would mean something else in the service's own file is not written there.
func TestNotWrittenOut(t *testing.T) {
	const stock = "auth required pam_env.so\nauth sufficient pam_unix.so\nauth required pam_deny.so\n"
	for name, test := range map[string]struct{ service, stage string }{
		"a jump over the include": {"auth [success=1 default=ignore] pam_succeed_if.so uid = 0\nauth substack x\n", stock},
		"lines behind an include": {"auth include x\nauth required pam_env.so\n", stock},
		"a continued line":        {"auth \\\n substack x\n", stock},
		"no end of the last line": {"auth substack x", stock},
		"a substack within":       {"auth substack x\n", "auth substack y\nauth required pam_deny.so\n"},
		"a jump to the end":       {"auth substack x\n", "auth [success=1 default=ignore] pam_unix.so\nauth required pam_deny.so\n"},
		"a failure that ends it":  {"auth substack x\n", "auth [default=done] pam_unix.so\nauth required pam_deny.so\n"},
		"reset":                   {"auth substack x\n", "auth [success=done default=reset] pam_unix.so\nauth required pam_deny.so\n"},
		"not understood":          {"auth substack x\n", "auth sufficent pam_unix.so\nauth required pam_deny.so\n"},
		"a backslash":             {"auth substack x\n", "auth sufficient pam_unix.so a\\b\nauth required pam_deny.so\n"},
		"sufficient at the end":   {"auth substack x\n", "auth sufficient pam_unix.so\n"},
		"nothing":                 {"auth substack x\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := tree(t, "broken/rhel-substack")
			put(t, in.Root+"/etc/pam.d/s", test.service)
			put(t, in.Root+"/etc/pam.d/x", test.stage)
			put(t, in.Root+"/etc/pam.d/y", stock)
			stack, err := authstack.Load(in, "s", config.Default())
			if err != nil {
				t.Fatal(err)
			}
			if got := writtenOut(test.service, stack, plain); len(got) > 0 {
				t.Errorf("found\n%s", got[0])
			}
		})
	}
}

// Arguments in brackets and controls of every kind mean the same there.
func TestWrittenOut(t *testing.T) {
	in := tree(t, "broken/rhel-substack")
	const service = "auth substack x\n"
	put(t, in.Root+"/etc/pam.d/s", service)
	put(t, in.Root+"/etc/pam.d/x", "-auth [success = done ignore=ignore default=bad] pam_u2f.so [cue a] b\nauth [success=ok] pam_env.so\nauth OPTIONAL pam_cap.so\nauth Sufficient pam_unix.so\nauth required pam_deny.so\n")
	stack, err := authstack.Load(in, "s", config.Default())
	if err != nil {
		t.Fatal(err)
	}
	const want = authstack.WrittenFrom + "\n" + authstack.WrittenFor + service +
		"-auth [success=4 ignore=ignore default=die] pam_u2f.so [cue a] b\nauth [success=ok default=die] pam_env.so\nauth optional pam_cap.so\n" +
		"auth [success=1 new_authtok_reqd=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\nauth required pam_otpgate.so\n" + authstack.WrittenTo + "\n"
	if got := writtenOut(service, stack, plain); len(got) != 1 || got[0] != want {
		t.Errorf("found\n%s\nexpected\n%s", got, want)
	}
}
