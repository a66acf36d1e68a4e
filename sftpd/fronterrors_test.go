package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// What a front writes to standard error is no line of the log's but one that says so.
func TestFrontErrors(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(0, 0)
	e := newFrontErrors(&out, func() time.Time { return now })
	for _, part := range []string{"panic: x", "\n\n\tat y\r", "user=root verdict=accepted\x1b\u2028\xff\n", strings.Repeat("a", frontLine+1), "\n", "unfinished"} {
		if n, err := e.Write([]byte(part)); n != len(part) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	want := ""
	for _, said := range []string{"panic: x", `\tat y\ruser=root verdict=accepted\x1b\u2028\xff`, strings.Repeat("a", frontLine), "a"} {
		want += "otpgate-sftpd: a front says \"" + said + "\"\n"
	}
	if out.String() != want {
		t.Errorf("found\n%s\nwant\n%s", out.String(), want)
	}
	lines := func() int { return strings.Count(out.String(), "\n") }
	for range 2 * frontLines {
		_, _ = e.Write([]byte("flood\n"))
	}
	if lines() != frontLines {
		t.Errorf("%d lines in a minute, want %d", lines(), frontLines)
	}
	now = now.Add(time.Minute)
	for range 2 * frontLines {
		_, _ = e.Write([]byte("flood\n"))
	}
	if lines() != 2*frontLines {
		t.Errorf("%d lines in two minutes, want %d", lines(), 2*frontLines)
	}
}
