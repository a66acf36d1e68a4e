package account

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// asWritten is a file as otpctl leaves it: an app and ten recovery codes.
var asWritten = `# Made by otpctl.
version = 1
user = 'alice'
binding = '4cba889451624c51'
enabled = true
email = 'alice@example.com'

[[factor]]
id = 'phone'
kind = 'totp'
secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
digits = 6
period = 30
algorithm = 'SHA1'
confirmed = 2026-11-22T10:00:00Z

[recovery]
hashes = [` + strings.TrimSuffix(strings.Repeat("'0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', ", 10), ", ") + `]
`

func BenchmarkParse(b *testing.B) {
	for _, test := range []struct{ name, text string }{{"written", asWritten}, {"by hand", byHand}} {
		b.Run(test.name, func(b *testing.B) {
			data := []byte(test.text)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse("alice.toml", "alice", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParseCold is what a login pays, which comes to the code and the data
// after much else was in the processor's caches. Its figure is the median.
func BenchmarkParseCold(b *testing.B) {
	data := []byte(asWritten)
	elsewhere := make([]byte, 64<<20)
	var spent []time.Duration
	for b.Loop() {
		for i := 0; i < len(elsewhere); i += 64 {
			elsewhere[i]++
		}
		begun := time.Now()
		if _, err := Parse("alice.toml", "alice", data); err != nil {
			b.Fatal(err)
		}
		spent = append(spent, time.Since(begun))
	}
	slices.Sort(spent)
	b.ReportMetric(float64(spent[len(spent)/2].Nanoseconds()), "cold-ns/op")
}

// Among 100,000 files, as for somebody whom the system does not know.
func BenchmarkLike(b *testing.B) {
	path := b.TempDir()
	for i := range 100_000 {
		if err := os.WriteFile(fmt.Sprintf("%s/p%d.toml", path, i), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	dir, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	for b.Loop() {
		if like, err := dir.Like("P5"); err != nil || len(like) != 1 {
			b.Fatal(like, err)
		}
	}
}
