package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/wire/wiretest"
)

var whole = Start{
	User: "alice", Service: "sshd", RemoteHost: "192.0.2.1", RemoteUser: "bob", TTY: "ssh",
	Protocol: "ssh", Config: "/etc/otpgate/otpgate.toml", Debug: true, Timeout: 90 * time.Second,
	Split: true, AfterSplit: true, CodeBehind: true, Unproven: true, Rule: true,
}

func TestStartGoesThrough(t *testing.T) {
	for _, start := range []Start{{}, {User: "alice"}, whole} {
		var stream bytes.Buffer
		if err := WriteStart(&stream, start); err != nil {
			t.Fatal(err)
		}
		got, err := ReadStart(&stream)
		if err != nil || !reflect.DeepEqual(got, start) || stream.Len() != 0 {
			t.Errorf("got %+v, %v; want %+v", got, err, start)
		}
	}
}

func TestReadStartRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"other frame":       wiretest.Frame(TypeReply, "\x01"),
		"unknown frame":     wiretest.Frame(Type(0x7f), ""),
		"no version":        wiretest.Frame(TypeStart, ""),
		"other version":     wiretest.Frame(TypeStart, "\x02"),
		"unknown field":     wiretest.Frame(TypeStart, "\x01\x0f\x00\x00"),
		"field 0":           wiretest.Frame(TypeStart, "\x01\x00\x00\x00"),
		"repeated field":    wiretest.Frame(TypeStart, "\x01\x01\x00\x01a\x01\x00\x01b"),
		"cut field":         wiretest.Frame(TypeStart, "\x01\x01\x00"),
		"field past end":    wiretest.Frame(TypeStart, "\x01\x01\x00\x02a"),
		"NUL in a field":    wiretest.Frame(TypeStart, "\x01\x01\x00\x03a\x00b"),
		"debug with value":  wiretest.Frame(TypeStart, "\x01\x08\x00\x01x"),
		"split with value":  wiretest.Frame(TypeStart, "\x01\x0a\x00\x01x"),
		"split twice":       wiretest.Frame(TypeStart, "\x01\x0a\x00\x00\x0a\x00\x00"),
		"after with value":  wiretest.Frame(TypeStart, "\x01\x0b\x00\x01x"),
		"timeout 0":         wiretest.Frame(TypeStart, "\x01\x09\x00\x010"),
		"timeout too long":  wiretest.Frame(TypeStart, "\x01\x09\x00\x03601"),
		"timeout no number": wiretest.Frame(TypeStart, "\x01\x09\x00\x02+5"),
		"over-long":         "\x01\x00\x40\x01",
		"huge":              "\x01\xff\xff\xff",
	} {
		if _, err := ReadStart(strings.NewReader(text)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "\x01", "\x01\x00\x00\x05ab"} {
		if _, err := ReadStart(strings.NewReader(text)); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAsk(t *testing.T) {
	for _, test := range []struct {
		name, reply string
		want        Reply
		refused     bool
	}{
		{"text", wiretest.Frame(TypeReply, "\x01123456"), Reply{Answered, "123456"}, false},
		{"empty text", wiretest.Frame(TypeReply, "\x01"), Reply{Answered, ""}, false},
		{"no answer", wiretest.Frame(TypeReply, "\x02"), Reply{NoAnswer, ""}, false},
		{"too long", wiretest.Frame(TypeReply, "\x03"), Reply{TooLong, ""}, false},
		{"password", wiretest.Frame(TypeReply, "\x04"), Reply{IsPassword, ""}, false},
		{"status 0", wiretest.Frame(TypeReply, "\x00123456"), Reply{}, true},
		{"unknown status", wiretest.Frame(TypeReply, "\x05"), Reply{}, true},
		{"no status", wiretest.Frame(TypeReply, ""), Reply{}, true},
		{"text without answer", wiretest.Frame(TypeReply, "\x02123456"), Reply{}, true},
		{"long text", wiretest.Frame(TypeReply, "\x01"+strings.Repeat("1", MaxAnswer+1)), Reply{}, true},
		{"other frame", wiretest.Frame(TypeVerdict, "\x01"), Reply{}, true},
	} {
		stream := &wiretest.Stream{Reader: strings.NewReader(test.reply)}
		got, err := Peer{stream}.Ask(EchoOff, "Code: ")
		if got != test.want || (err != nil) != test.refused || (test.refused && !errors.Is(err, ErrProtocol)) {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
		if stream.String() != wiretest.Frame(TypePrompt, "\x01Code: ") {
			t.Errorf("%s: sent %q", test.name, stream.String())
		}
	}
	stream := &wiretest.Stream{Reader: strings.NewReader("")}
	if _, err := (Peer{stream}).Ask(Info, "x"); err == nil {
		t.Error("asked in a style that only tells")
	}
	if err := (Peer{stream}).Tell(EchoOff, "x"); err == nil {
		t.Error("told in a style that asks")
	}
	if err := (Peer{stream}).Tell(Info, strings.Repeat("x", MaxPayload)); !errors.Is(err, ErrProtocol) {
		t.Errorf("over-long prompt: %v", err)
	}
}

func TestTail(t *testing.T) {
	for _, test := range []struct {
		name, reply string
		text        string
		found       bool
		refused     bool
	}{
		{"as asked", wiretest.Frame(TypeReply, "\x01123456"), "123456", true, false},
		{"none", wiretest.Frame(TypeReply, "\x02"), "", false, false},
		{"too few", wiretest.Frame(TypeReply, "\x0112345"), "", false, true},
		{"too many", wiretest.Frame(TypeReply, "\x011234567"), "", false, true},
		{"empty", wiretest.Frame(TypeReply, "\x01"), "", false, true},
		{"of other characters", wiretest.Frame(TypeReply, "\x0112345x"), "", false, true},
		{"other within", wiretest.Frame(TypeReply, "\x01123x56"), "", false, true},
		{"too long", wiretest.Frame(TypeReply, "\x03"), "", false, true},
		{"password", wiretest.Frame(TypeReply, "\x04"), "", false, true},
		{"other frame", wiretest.Frame(TypeVerdict, "\x01"), "", false, true},
	} {
		stream := &wiretest.Stream{Reader: strings.NewReader(test.reply)}
		text, found, err := Peer{stream}.Tail(6, 0, "0123456789")
		if text != test.text || found != test.found || (err != nil) != test.refused || (test.refused && !errors.Is(err, ErrProtocol)) {
			t.Errorf("%s: %q, %v, %v", test.name, text, found, err)
		}
		if stream.String() != wiretest.Frame(TypePrompt, "\x05\x06\x000123456789") {
			t.Errorf("%s: sent %q", test.name, stream.String())
		}
	}
	for _, n := range []int{-1, 0, MaxTail + 1, 256} {
		stream := &wiretest.Stream{Reader: strings.NewReader("")}
		_, _, err := Peer{stream}.Tail(n, 0, "0123456789")
		if err2 := (Peer{stream}).EndSplit(n); !errors.Is(err, ErrProtocol) || !errors.Is(err2, ErrProtocol) || stream.Len() != 0 {
			t.Errorf("%d bytes: %v, %v, sent %q", n, err, err2, stream.String())
		}
	}
}

func TestTailInGroups(t *testing.T) {
	for text, want := range map[string]bool{
		"01-23": true, "01-ab": true, "01123": false, "01-2-": false, "0-123": false, "01-2x": false, "--123": false, "-----": false,
	} {
		stream := &wiretest.Stream{Reader: strings.NewReader(wiretest.Frame(TypeReply, "\x01"+text))}
		if _, found, err := (Peer{stream}).Tail(5, 2, "0123ab"); found != want || (err == nil) != want {
			t.Errorf("%q: %v, %v", text, found, err)
		}
		if stream.String() != wiretest.Frame(TypePrompt, "\x05\x05\x020123ab") {
			t.Errorf("sent %q", stream.String())
		}
	}
	for _, group := range []int{-1, 5, 6, 256} {
		stream := &wiretest.Stream{Reader: strings.NewReader("")}
		if _, _, err := (Peer{stream}).Tail(5, group, "01"); !errors.Is(err, ErrProtocol) || stream.Len() != 0 {
			t.Errorf("groups of %d: %v, sent %q", group, err, stream.String())
		}
	}
}

func TestSplitVerdictHasItsLength(t *testing.T) {
	stream := &wiretest.Stream{Reader: strings.NewReader("")}
	if err := (Peer{stream}).End(Split); !errors.Is(err, ErrProtocol) || stream.Len() != 0 {
		t.Errorf("without: %v, sent %q", err, stream.String())
	}
	if err := (Peer{stream}).EndSplit(6); err != nil || stream.String() != wiretest.Frame(TypeVerdict, "\x05\x06") {
		t.Errorf("with: %v, sent %q", err, stream.String())
	}
}

func TestZeroVerdictDenies(t *testing.T) {
	var zero Verdict
	if zero != Deny {
		t.Error("the zero verdict does not deny")
	}
	stream := &wiretest.Stream{Reader: strings.NewReader("")}
	if err := (Peer{stream}).End(Accept); err != nil || stream.String() != wiretest.Frame(TypeVerdict, "\x01") {
		t.Errorf("%q, %v", stream.String(), err)
	}
}

func FuzzReadStart(f *testing.F) {
	var stream bytes.Buffer
	if err := WriteStart(&stream, whole); err != nil {
		f.Fatal(err)
	}
	f.Add(stream.Bytes())
	f.Add([]byte(wiretest.Frame(TypeStart, "\x01\x01\x00\x01a")))
	f.Fuzz(func(t *testing.T, data []byte) { wiretest.WrittenAgain(t, data, ReadStart, WriteStart) })
}

func FuzzReply(f *testing.F) {
	f.Add([]byte(wiretest.Frame(TypeReply, "\x01123456")))
	f.Fuzz(func(t *testing.T, data []byte) {
		reply, err := Peer{&wiretest.Stream{Reader: bytes.NewReader(data)}}.Ask(EchoOff, "Code: ")
		if err == nil && (len(reply.Text) > MaxAnswer || reply.Text != "" && reply.Status != Answered) {
			t.Errorf("%+v", reply)
		}
	})
}

func FuzzTail(f *testing.F) {
	f.Add([]byte(wiretest.Frame(TypeReply, "\x01123456")), 6)
	f.Add([]byte(wiretest.Frame(TypeReply, "\x02")), 19)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		text, found, err := Peer{&wiretest.Stream{Reader: bytes.NewReader(data)}}.Tail(n, 0, "0123456789")
		if found != (text != "") || found && (err != nil || len(text) != n || n > MaxTail || strings.Trim(text, "0123456789") != "") {
			t.Errorf("%d bytes: %q, %v, %v", n, text, found, err)
		}
	})
}
