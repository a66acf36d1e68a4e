package admission

import (
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/audit"
)

// Each limit has its line, with whom it met.
func TestRefusalsSayWhom(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	d, _ := clockedCounter()
	few := penalizing
	few.StartupsPerSource, few.MaxStartups = 1, 2
	for _, step := range []struct {
		addr netip.Addr
		want Refusal
	}{
		{v4, Refusal{}},
		{v4, Refusal{"sftp.limits.startups_per_source", "1 connections of 192.0.2.7 are at their login"}},
		{v6, Refusal{}},
		{v6, Refusal{"sftp.limits.max_startups", "2 connections are at their login"}},
	} {
		if found := d.Admit(step.addr, few); found != step.want {
			t.Errorf("%s: expected %q, found %q", step.addr, step.want, found)
		}
	}
	d.Release(v6, few, Result{Penalty: penaltyMost})
	want := Refusal{"sftp.limits.penalties", "2001:db8::/64 keeps failing, and is turned away for another 9m45s"}
	if found := d.Admit(v6, few); found != want {
		t.Errorf("expected %q, found %q", want, found)
	}
	// And one that the broker says where the header of a proxy is missing.
	var records []audit.Record
	log := audit.NewLimiter(func(r audit.Record) { records = append(records, r) })
	_, err := readProxy(strings.NewReader("SSH-2.0-x\r\n        "), v4)
	if err == nil || err == io.EOF {
		t.Fatalf("expected that the header is missed, found %v", err)
	}
	log.Write(Refusal{ByProxy, err.Error()}.Record("sftpd", v4))
	if len(records) != 1 || !strings.Contains(records[0].Line(), "remote=192.0.2.7 verdict=turned-away rule=sftp.proxy_protocol reason=\"no header of the PROXY protocol") {
		t.Errorf("%+v", records)
	}
}
