package remotewire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/wire"
)

var whole = Begin{
	Start: wire.Start{User: "ALICE", Service: "sshd", RemoteHost: "192.0.2.1", TTY: "ssh", Protocol: "ssh", Timeout: 90 * time.Second, Split: true, AfterSplit: true, CodeBehind: true},
	Names: []string{"alice", "toor"}, Program: RootProgram,
}

func frame(kind wire.Type, payload string) string {
	return string([]byte{byte(kind), 0, byte(len(payload) >> 8), byte(len(payload))}) + payload
}

func TestFramesGoThrough(t *testing.T) {
	var stream bytes.Buffer
	take := Take{ID: NewID(), Guest: true, Client: "web-1.example"}
	answers := []Answer{{Taken: true, Ledger: "5f3a"}, {Busy: "it ends"}}
	if err := errors.Join(WriteTake(&stream, take), WriteAnswer(&stream, answers[0]), WriteAnswer(&stream, answers[1]), WriteBegin(&stream, whole), WriteBegin(&stream, Begin{})); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadTake(&stream); got != take || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, want := range answers {
		if got, err := ReadAnswer(&stream); got != want || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for _, want := range []Begin{whole, {}} {
		if got, err := ReadBegin(&stream); !reflect.DeepEqual(got, want) || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if stream.Len() != 0 {
		t.Errorf("%d bytes are left", stream.Len())
	}
}

// The largest opening of a front goes along.
func TestLargestBegin(t *testing.T) {
	long := strings.Repeat("x", 255)
	largest := Begin{Start: wire.Start{User: long, Service: long, RemoteHost: strings.Repeat("x", 1024), RemoteUser: long, TTY: long, Protocol: long, Config: strings.Repeat("x", 4096), Timeout: wire.MaxTimeout}}
	for range MaxNames {
		largest.Names = append(largest.Names, long)
	}
	var stream bytes.Buffer
	if err := WriteBegin(&stream, largest); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadBegin(&stream); err != nil || !reflect.DeepEqual(got, largest) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRefuses(t *testing.T) {
	start, id := "\x01\x00\x01\x01", strings.Repeat("i", 8)
	read := map[string]func(r io.Reader) error{
		"take":   func(r io.Reader) error { _, err := ReadTake(r); return err },
		"answer": func(r io.Reader) error { _, err := ReadAnswer(r); return err },
		"begin":  func(r io.Reader) error { _, err := ReadBegin(r); return err },
	}
	for name, text := range map[string]string{
		"take of another version":   frame(TypeTake, "\x02"+id),
		"take without an id":        frame(TypeTake, "\x01"),
		"take, client's name":       frame(TypeTake, "\x01"+id+"\x00../x"),
		"take, hidden client":       frame(TypeTake, "\x01"+id+"\x00.x"),
		"take too long":             frame(TypeTake, "\x01"+id+"\x00"+strings.Repeat("x", 65)),
		"take, whose login":         frame(TypeTake, "\x01"+id+"\x02"),
		"take without whose login":  frame(TypeTake, "\x01"+id),
		"take, other frame":         frame(TypeBegin, "\x01"+id),
		"answer without a ledger":   frame(TypeTaken, ""),
		"answer with an escape":     frame(TypeBusy, "\x1b[1m"),
		"answer not UTF-8":          frame(TypeBusy, "\xff"),
		"answer too long":           frame(TypeBusy, strings.Repeat("x", 257)),
		"answer, a start":           frame(wire.TypeStart, "\x01"),
		"begin, empty":              frame(TypeBegin, ""),
		"begin without program":     frame(TypeBegin, start),
		"begin without start":       frame(TypeBegin, "\x03\x00\x01\x00"),
		"begin, program unknown":    frame(TypeBegin, start+"\x03\x00\x01\x03"),
		"begin, program twice":      frame(TypeBegin, start+"\x03\x00\x01\x00\x03\x00\x01\x00"),
		"begin, start twice":        frame(TypeBegin, start+start+"\x03\x00\x01\x00"),
		"begin, start's version":    frame(TypeBegin, "\x01\x00\x01\x02\x03\x00\x01\x00"),
		"begin, empty name":         frame(TypeBegin, start+"\x02\x00\x00\x03\x00\x01\x00"),
		"begin, NUL in a name":      frame(TypeBegin, start+"\x02\x00\x01\x00\x03\x00\x01\x00"),
		"begin, too many names":     frame(TypeBegin, start+strings.Repeat("\x02\x00\x01a", MaxNames+1)+"\x03\x00\x01\x00"),
		"begin, field past the end": frame(TypeBegin, start+"\x02\x00\x02a"),
		"begin, field cut":          frame(TypeBegin, start+"\x02\x00"),
		"begin, unknown field":      frame(TypeBegin, start+"\x04\x00\x00\x03\x00\x01\x00"),
		"begin too long":            "\x21\x00\x40\x01",
	} {
		kind, _, _ := strings.Cut(name, " ")
		if err := read[strings.TrimSuffix(kind, ",")](strings.NewReader(text)); !errors.Is(err, wire.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, begin := range []Begin{{Names: []string{""}}, {Names: make([]string, MaxNames+1)}, {Names: []string{strings.Repeat("x", 256)}}} {
		if err := WriteBegin(io.Discard, begin); err == nil {
			t.Errorf("written: %+v", begin)
		}
	}
}

// What a log says of people and machines may be anything; what is sent is one line.
func TestTextsArePrintable(t *testing.T) {
	for _, text := range []string{"a\nb", "\xff\xfe", strings.Repeat("ü", 300), "\x1b[31m"} {
		var stream bytes.Buffer
		if err := WriteAnswer(&stream, Answer{Busy: text}); err != nil {
			t.Fatal(err)
		}
		if answer, err := ReadAnswer(&stream); err != nil || answer.Busy == "" {
			t.Errorf("%q: %+v, %v", text, answer, err)
		}
	}
}

// script is an engine whose frames are known, and what it was sent.
type script struct {
	io.Reader
	bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// typist is a person who gives one answer.
type typist struct {
	shown []string
	end   string
	gone  error
}

func (p *typist) Ask(_ wire.Style, text string) (wire.Reply, error) {
	p.shown = append(p.shown, text)
	return wire.Reply{Status: wire.Answered, Text: "123456"}, p.gone
}

func (p *typist) Tell(_ wire.Style, text string) error {
	p.shown = append(p.shown, text)
	return nil
}

func (p *typist) Tail(n, group int, _ string) (string, bool, error) {
	return p.end, p.end != "" && len(p.end) == n && group == 0, p.gone
}

func TestRelay(t *testing.T) {
	engine := &script{Reader: strings.NewReader(frame(wire.TypePrompt, "\x03hello") + frame(wire.TypePrompt, "\x01Code: ") + frame(TypeRule, "totp:phone") + frame(wire.TypeVerdict, "\x01"))}
	person := &typist{}
	outcome, err := Relay(engine, person)
	if want := (Outcome{Verdict: wire.Accept, Rule: "totp:phone"}); outcome != want || err != nil || engine.String() != frame(wire.TypeReply, "\x01123456") {
		t.Errorf("%+v, %v, sent %q", outcome, err, engine.String())
	}
	if want := []string{"hello", "Code: "}; !reflect.DeepEqual(person.shown, want) {
		t.Errorf("shown %q", person.shown)
	}
	engine = &script{Reader: strings.NewReader(frame(wire.TypePrompt, "\x05\x06\x000123456789") + frame(wire.TypeVerdict, "\x05\x06"))}
	outcome, err = Relay(engine, &typist{end: "123456"})
	if outcome != (Outcome{Verdict: wire.Split, Split: 6}) || err != nil || engine.String() != frame(wire.TypeReply, "\x01123456") {
		t.Errorf("%+v, %v, sent %q", outcome, err, engine.String())
	}
}

func TestRelayRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"a start":                frame(wire.TypeStart, "\x01"),
		"no style":               frame(wire.TypePrompt, ""),
		"unknown style":          frame(wire.TypePrompt, "\x06x"),
		"a tail without lengths": frame(wire.TypePrompt, "\x05"),
		"a tail of nothing":      frame(wire.TypePrompt, "\x05\x00\x00"),
		"a tail that is long":    frame(wire.TypePrompt, "\x05\x21\x00"),
		"no verdict":             frame(wire.TypeVerdict, ""),
		"unknown verdict":        frame(wire.TypeVerdict, "\x06"),
		"accept with a length":   frame(wire.TypeVerdict, "\x01\x06"),
		"a split without one":    frame(wire.TypeVerdict, "\x05"),
		"a split of nothing":     frame(wire.TypeVerdict, "\x05\x00"),
		"two rules":              frame(TypeRule, "a") + frame(TypeRule, "b"),
		"an empty rule":          frame(TypeRule, ""),
		"a rule of two lines":    frame(TypeRule, "a\nb"),
		"an end":                 "",
	} {
		outcome, err := Relay(&script{Reader: strings.NewReader(text + frame(wire.TypeVerdict, "\x01"))}, &typist{})
		if text == "" {
			outcome, err = Relay(&script{Reader: strings.NewReader("")}, &typist{})
		}
		var engine EngineError
		if outcome != (Outcome{}) || !errors.As(err, &engine) {
			t.Errorf("%s: %+v, %v", name, outcome, err)
		}
	}
	gone := errors.New("gone")
	var engine EngineError
	for _, text := range []string{frame(wire.TypePrompt, "\x01x"), frame(wire.TypePrompt, "\x05\x06\x00")} {
		outcome, err := Relay(&script{Reader: strings.NewReader(text + frame(wire.TypeVerdict, "\x01"))}, &typist{gone: gone})
		if outcome != (Outcome{}) || !errors.Is(err, gone) || errors.As(err, &engine) {
			t.Errorf("%+v, %v", outcome, err)
		}
	}
}

func FuzzTake(f *testing.F) {
	f.Add([]byte(frame(TypeTake, "\x0112345678\x00web1")))
	f.Fuzz(func(t *testing.T, data []byte) {
		take, err := ReadTake(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteTake(&again, take); err != nil {
			t.Fatal(err)
		}
		if second, err := ReadTake(&again); err != nil || second != take {
			t.Errorf("%+v became %+v, %v", take, second, err)
		}
	})
}

func FuzzBegin(f *testing.F) {
	var stream bytes.Buffer
	if err := WriteBegin(&stream, whole); err != nil {
		f.Fatal(err)
	}
	f.Add(stream.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		begin, err := ReadBegin(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteBegin(&again, begin); err != nil {
			t.Fatal(err)
		}
		if second, err := ReadBegin(&again); err != nil || !reflect.DeepEqual(second, begin) {
			t.Errorf("%+v became %+v, %v", begin, second, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(frame(TypeTaken, "5f3a")))
	f.Add([]byte(frame(TypeBusy, "full")))
	f.Fuzz(func(t *testing.T, data []byte) {
		answer, err := ReadAnswer(bytes.NewReader(data))
		if err == nil && answer.Taken != (answer.Ledger != "") || err != nil && answer != (Answer{}) {
			t.Errorf("%+v, %v", answer, err)
		}
	})
}

func FuzzRelay(f *testing.F) {
	f.Add([]byte(frame(wire.TypePrompt, "\x01Code: ") + frame(TypeRule, "totp:phone") + frame(wire.TypeVerdict, "\x01")))
	f.Add([]byte(frame(wire.TypePrompt, "\x05\x06\x000123456789") + frame(wire.TypeVerdict, "\x05\x06")))
	f.Fuzz(func(t *testing.T, data []byte) {
		outcome, err := Relay(&script{Reader: bytes.NewReader(data)}, &typist{end: "123456"})
		if err != nil && outcome != (Outcome{}) || (outcome.Verdict == wire.Split) != (outcome.Split > 0) || outcome.Split > wire.MaxTail {
			t.Errorf("%+v, %v", outcome, err)
		}
	})
}
