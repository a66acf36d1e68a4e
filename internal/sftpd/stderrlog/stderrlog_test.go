package stderrlog

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// What a process writes to standard error is no line of the log's but one that says so.
func TestLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(0, 0)
	var limit Limit
	e := New(&out, "a front", func() time.Time { return now }, &limit)
	pauses := 0
	e.pause = func(time.Duration) { pauses++ }
	for _, part := range []string{"panic: x", "\n\n\tat y\r", "user=root verdict=accepted\x1b\u2028\xff\n", strings.Repeat("a", longest+1), "\n", "unfinished"} {
		if n, err := e.Write([]byte(part)); n != len(part) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	want := ""
	for _, said := range []string{"panic: x", `\tat y\ruser=root verdict=accepted\x1b\u2028\xff`, strings.Repeat("a", longest), "a"} {
		want += "otpgate-sftpd: a front says \"" + said + "\"\n"
	}
	if out.String() != want {
		t.Errorf("found\n%s\nwant\n%s", out.String(), want)
	}
	lines := func() int { return strings.Count(out.String(), "\n") }
	if pauses != 0 {
		t.Error("it is held up before it says too much")
	}
	for range 2 * most {
		_, _ = e.Write([]byte("flood\n"))
	}
	if over := most + strings.Count(want, "\n"); pauses != over {
		t.Errorf("%d writes were held up, want %d", pauses, over)
	}
	next := New(&out, "a front", func() time.Time { return now }, &limit)
	next.pause = e.pause
	_, _ = next.Write([]byte("and the next one\n"))
	if lines() != most {
		t.Errorf("%d lines in a minute, want %d", lines(), most)
	}
	now = now.Add(time.Minute)
	for range 2 * most {
		_, _ = e.Write([]byte("flood\n"))
	}
	if lines() != 2*most {
		t.Errorf("%d lines in two minutes, want %d", lines(), 2*most)
	}
}

// What is left without an end of its line counts once the process is gone.
func TestDrain(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ended := false
	New(&out, `the worker of "ann"`, time.Now, &Limit{}).Drain(closer{strings.NewReader("one\ntwo"), &ended})
	want := "otpgate-sftpd: the worker of \"ann\" says \"one\"\notpgate-sftpd: the worker of \"ann\" says \"two\"\n"
	if out.String() != want || !ended {
		t.Errorf("found %q, want %q; closed: %v", out.String(), want, ended)
	}
}

type closer struct {
	io.Reader
	closed *bool
}

func (c closer) Close() error {
	*c.closed = true
	return nil
}
