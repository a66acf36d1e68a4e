package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

var whole = Start{
	User: "alice", Service: "sshd", RemoteHost: "192.0.2.1", RemoteUser: "bob", TTY: "ssh",
	Protocol: "ssh", Config: "/etc/otpgate/otpgate.toml", Debug: true, Timeout: 90 * time.Second,
	Split: true, AfterSplit: true, CodeBehind: true,
}

func frame(kind Type, payload string) string {
	return string([]byte{byte(kind), 0, byte(len(payload) >> 8), byte(len(payload))}) + payload
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
		"other frame":       frame(TypeReply, "\x01"),
		"unknown frame":     frame(0x7f, ""),
		"no version":        frame(TypeStart, ""),
		"other version":     frame(TypeStart, "\x02"),
		"unknown field":     frame(TypeStart, "\x01\x0d\x00\x00"),
		"field 0":           frame(TypeStart, "\x01\x00\x00\x00"),
		"repeated field":    frame(TypeStart, "\x01\x01\x00\x01a\x01\x00\x01b"),
		"cut field":         frame(TypeStart, "\x01\x01\x00"),
		"field past end":    frame(TypeStart, "\x01\x01\x00\x02a"),
		"NUL in a field":    frame(TypeStart, "\x01\x01\x00\x03a\x00b"),
		"debug with value":  frame(TypeStart, "\x01\x08\x00\x01x"),
		"split with value":  frame(TypeStart, "\x01\x0a\x00\x01x"),
		"split twice":       frame(TypeStart, "\x01\x0a\x00\x00\x0a\x00\x00"),
		"after with value":  frame(TypeStart, "\x01\x0b\x00\x01x"),
		"timeout 0":         frame(TypeStart, "\x01\x09\x00\x010"),
		"timeout too long":  frame(TypeStart, "\x01\x09\x00\x03601"),
		"timeout no number": frame(TypeStart, "\x01\x09\x00\x02+5"),
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

// wireStream reads from one buffer and writes to another.
type wireStream struct {
	io.Reader
	bytes.Buffer
}

func (s *wireStream) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func TestAsk(t *testing.T) {
	for _, test := range []struct {
		name, reply string
		want        Reply
		refused     bool
	}{
		{"text", frame(TypeReply, "\x01123456"), Reply{Answered, "123456"}, false},
		{"empty text", frame(TypeReply, "\x01"), Reply{Answered, ""}, false},
		{"no answer", frame(TypeReply, "\x02"), Reply{NoAnswer, ""}, false},
		{"too long", frame(TypeReply, "\x03"), Reply{TooLong, ""}, false},
		{"password", frame(TypeReply, "\x04"), Reply{IsPassword, ""}, false},
		{"status 0", frame(TypeReply, "\x00123456"), Reply{}, true},
		{"unknown status", frame(TypeReply, "\x05"), Reply{}, true},
		{"no status", frame(TypeReply, ""), Reply{}, true},
		{"text without answer", frame(TypeReply, "\x02123456"), Reply{}, true},
		{"long text", frame(TypeReply, "\x01"+strings.Repeat("1", MaxAnswer+1)), Reply{}, true},
		{"other frame", frame(TypeVerdict, "\x01"), Reply{}, true},
	} {
		stream := &wireStream{Reader: strings.NewReader(test.reply)}
		got, err := Peer{stream}.Ask(EchoOff, "Code: ")
		if got != test.want || (err != nil) != test.refused || (test.refused && !errors.Is(err, ErrProtocol)) {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
		if stream.String() != frame(TypePrompt, "\x01Code: ") {
			t.Errorf("%s: sent %q", test.name, stream.String())
		}
	}
	stream := &wireStream{Reader: strings.NewReader("")}
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
		{"as asked", frame(TypeReply, "\x01123456"), "123456", true, false},
		{"none", frame(TypeReply, "\x02"), "", false, false},
		{"too few", frame(TypeReply, "\x0112345"), "", false, true},
		{"too many", frame(TypeReply, "\x011234567"), "", false, true},
		{"empty", frame(TypeReply, "\x01"), "", false, true},
		{"of other characters", frame(TypeReply, "\x0112345x"), "", false, true},
		{"other within", frame(TypeReply, "\x01123x56"), "", false, true},
		{"too long", frame(TypeReply, "\x03"), "", false, true},
		{"password", frame(TypeReply, "\x04"), "", false, true},
		{"other frame", frame(TypeVerdict, "\x01"), "", false, true},
	} {
		stream := &wireStream{Reader: strings.NewReader(test.reply)}
		text, found, err := Peer{stream}.Tail(6, 0, "0123456789")
		if text != test.text || found != test.found || (err != nil) != test.refused || (test.refused && !errors.Is(err, ErrProtocol)) {
			t.Errorf("%s: %q, %v, %v", test.name, text, found, err)
		}
		if stream.String() != frame(TypePrompt, "\x05\x06\x000123456789") {
			t.Errorf("%s: sent %q", test.name, stream.String())
		}
	}
	for _, n := range []int{-1, 0, MaxTail + 1, 256} {
		stream := &wireStream{Reader: strings.NewReader("")}
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
		stream := &wireStream{Reader: strings.NewReader(frame(TypeReply, "\x01"+text))}
		if _, found, err := (Peer{stream}).Tail(5, 2, "0123ab"); found != want || (err == nil) != want {
			t.Errorf("%q: %v, %v", text, found, err)
		}
		if stream.String() != frame(TypePrompt, "\x05\x05\x020123ab") {
			t.Errorf("sent %q", stream.String())
		}
	}
	for _, group := range []int{-1, 5, 6, 256} {
		stream := &wireStream{Reader: strings.NewReader("")}
		if _, _, err := (Peer{stream}).Tail(5, group, "01"); !errors.Is(err, ErrProtocol) || stream.Len() != 0 {
			t.Errorf("groups of %d: %v, sent %q", group, err, stream.String())
		}
	}
}

func TestSplitVerdictHasItsLength(t *testing.T) {
	stream := &wireStream{Reader: strings.NewReader("")}
	if err := (Peer{stream}).End(Split); !errors.Is(err, ErrProtocol) || stream.Len() != 0 {
		t.Errorf("without: %v, sent %q", err, stream.String())
	}
	if err := (Peer{stream}).EndSplit(6); err != nil || stream.String() != frame(TypeVerdict, "\x05\x06") {
		t.Errorf("with: %v, sent %q", err, stream.String())
	}
}

func TestZeroVerdictDenies(t *testing.T) {
	var zero Verdict
	if zero != Deny {
		t.Error("the zero verdict does not deny")
	}
	stream := &wireStream{Reader: strings.NewReader("")}
	if err := (Peer{stream}).End(Accept); err != nil || stream.String() != frame(TypeVerdict, "\x01") {
		t.Errorf("%q, %v", stream.String(), err)
	}
}

func FuzzReadStart(f *testing.F) {
	var stream bytes.Buffer
	if err := WriteStart(&stream, whole); err != nil {
		f.Fatal(err)
	}
	f.Add(stream.Bytes())
	f.Add([]byte(frame(TypeStart, "\x01\x01\x00\x01a")))
	f.Fuzz(func(t *testing.T, data []byte) {
		start, err := ReadStart(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteStart(&again, start); err != nil {
			t.Fatal(err)
		}
		second, err := ReadStart(&again)
		if err != nil || !reflect.DeepEqual(start, second) {
			t.Errorf("%+v became %+v, %v", start, second, err)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add([]byte(frame(TypeReply, "\x01123456")))
	f.Fuzz(func(t *testing.T, data []byte) {
		reply, err := Peer{&wireStream{Reader: bytes.NewReader(data)}}.Ask(EchoOff, "Code: ")
		if err == nil && (len(reply.Text) > MaxAnswer || reply.Text != "" && reply.Status != Answered) {
			t.Errorf("%+v", reply)
		}
	})
}

func FuzzTail(f *testing.F) {
	f.Add([]byte(frame(TypeReply, "\x01123456")), 6)
	f.Add([]byte(frame(TypeReply, "\x02")), 19)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		text, found, err := Peer{&wireStream{Reader: bytes.NewReader(data)}}.Tail(n, 0, "0123456789")
		if found != (text != "") || found && (err != nil || len(text) != n || n > MaxTail || strings.Trim(text, "0123456789") != "") {
			t.Errorf("%d bytes: %q, %v, %v", n, text, found, err)
		}
	})
}
