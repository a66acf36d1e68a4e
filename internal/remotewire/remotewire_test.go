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
	"github.com/otpgate/otpgate/internal/wire/wiretest"
)

var whole = Begin{
	Start: wire.Start{User: "ALICE", Service: "sshd", RemoteHost: "192.0.2.1", TTY: "ssh", Protocol: "ssh", Timeout: 90 * time.Second, Split: true, AfterSplit: true, CodeBehind: true},
	Names: []string{"alice", "toor"}, Program: RootProgram,
}

func TestFramesGoThrough(t *testing.T) {
	var stream bytes.Buffer
	take := Take{ID: NewID(), Unprivileged: true, Client: "web-1.example"}
	answers := []Answer{{Taken: true, Ledger: "5f3a", Clock: time.UnixMilli(1_764_000_000_123).UTC()}, {Busy: "it ends"}, {Busy: "web1 has 256 logins open", Full: true}}
	if err := errors.Join(WriteTake(&stream, take), WriteAnswer(&stream, answers[0]), WriteAnswer(&stream, answers[1]), WriteAnswer(&stream, answers[2]), WriteBegin(&stream, whole), WriteBegin(&stream, Begin{})); err != nil {
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
		"take of another version":   wiretest.Frame(TypeTake, "\x02"+id),
		"take without an id":        wiretest.Frame(TypeTake, "\x01"),
		"take, client's name":       wiretest.Frame(TypeTake, "\x01"+id+"\x00../x"),
		"take, hidden client":       wiretest.Frame(TypeTake, "\x01"+id+"\x00.x"),
		"take too long":             wiretest.Frame(TypeTake, "\x01"+id+"\x00"+strings.Repeat("x", 65)),
		"take, whose login":         wiretest.Frame(TypeTake, "\x01"+id+"\x02"),
		"take without whose login":  wiretest.Frame(TypeTake, "\x01"+id),
		"take, other frame":         wiretest.Frame(TypeBegin, "\x01"+id),
		"answer without a ledger":   wiretest.Frame(TypeTaken, strings.Repeat("\x00", 8)),
		"answer without a clock":    wiretest.Frame(TypeTaken, "5f3a"),
		"answer, clock of no age":   wiretest.Frame(TypeTaken, strings.Repeat("\xff", 8)+"5f3a"),
		"answer with an escape":     wiretest.Frame(TypeBusy, "\x1b[1m"),
		"answer not UTF-8":          wiretest.Frame(TypeBusy, "\xff"),
		"answer too long":           wiretest.Frame(TypeBusy, strings.Repeat("x", 257)),
		"answer, a start":           wiretest.Frame(wire.TypeStart, "\x01"),
		"begin, empty":              wiretest.Frame(TypeBegin, ""),
		"begin without program":     wiretest.Frame(TypeBegin, start),
		"begin without start":       wiretest.Frame(TypeBegin, "\x03\x00\x01\x00"),
		"begin, program unknown":    wiretest.Frame(TypeBegin, start+"\x03\x00\x01\x03"),
		"begin, program twice":      wiretest.Frame(TypeBegin, start+"\x03\x00\x01\x00\x03\x00\x01\x00"),
		"begin, start twice":        wiretest.Frame(TypeBegin, start+start+"\x03\x00\x01\x00"),
		"begin, start's version":    wiretest.Frame(TypeBegin, "\x01\x00\x01\x02\x03\x00\x01\x00"),
		"begin, empty name":         wiretest.Frame(TypeBegin, start+"\x02\x00\x00\x03\x00\x01\x00"),
		"begin, NUL in a name":      wiretest.Frame(TypeBegin, start+"\x02\x00\x01\x00\x03\x00\x01\x00"),
		"begin, too many names":     wiretest.Frame(TypeBegin, start+strings.Repeat("\x02\x00\x01a", MaxNames+1)+"\x03\x00\x01\x00"),
		"begin, field past the end": wiretest.Frame(TypeBegin, start+"\x02\x00\x02a"),
		"begin, field cut":          wiretest.Frame(TypeBegin, start+"\x02\x00"),
		"begin, unknown field":      wiretest.Frame(TypeBegin, start+"\x04\x00\x00\x03\x00\x01\x00"),
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
	engine := &wiretest.Stream{Reader: strings.NewReader(wiretest.Frame(wire.TypePrompt, "\x03hello") + wiretest.Frame(wire.TypePrompt, "\x01Code: ") + wiretest.Frame(TypeRule, "totp:phone") + wiretest.Frame(wire.TypeVerdict, "\x01"))}
	person := &typist{}
	outcome, err := Relay(engine, person)
	if want := (Outcome{Verdict: wire.Accept, Rule: "totp:phone"}); outcome != want || err != nil || engine.String() != wiretest.Frame(wire.TypeReply, "\x01123456") {
		t.Errorf("%+v, %v, sent %q", outcome, err, engine.String())
	}
	if want := []string{"hello", "Code: "}; !reflect.DeepEqual(person.shown, want) {
		t.Errorf("shown %q", person.shown)
	}
	engine = &wiretest.Stream{Reader: strings.NewReader(wiretest.Frame(wire.TypePrompt, "\x05\x06\x000123456789") + wiretest.Frame(wire.TypeVerdict, "\x05\x06"))}
	outcome, err = Relay(engine, &typist{end: "123456"})
	if outcome != (Outcome{Verdict: wire.Split, Split: 6}) || err != nil || engine.String() != wiretest.Frame(wire.TypeReply, "\x01123456") {
		t.Errorf("%+v, %v, sent %q", outcome, err, engine.String())
	}
}

func TestRelayRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"a start":                wiretest.Frame(wire.TypeStart, "\x01"),
		"no style":               wiretest.Frame(wire.TypePrompt, ""),
		"unknown style":          wiretest.Frame(wire.TypePrompt, "\x06x"),
		"a tail without lengths": wiretest.Frame(wire.TypePrompt, "\x05"),
		"a tail of nothing":      wiretest.Frame(wire.TypePrompt, "\x05\x00\x00"),
		"a tail that is long":    wiretest.Frame(wire.TypePrompt, "\x05\x21\x00"),
		"no verdict":             wiretest.Frame(wire.TypeVerdict, ""),
		"unknown verdict":        wiretest.Frame(wire.TypeVerdict, "\x06"),
		"accept with a length":   wiretest.Frame(wire.TypeVerdict, "\x01\x06"),
		"a split without one":    wiretest.Frame(wire.TypeVerdict, "\x05"),
		"a split of nothing":     wiretest.Frame(wire.TypeVerdict, "\x05\x00"),
		"two rules":              wiretest.Frame(TypeRule, "a") + wiretest.Frame(TypeRule, "b"),
		"an empty rule":          wiretest.Frame(TypeRule, ""),
		"a rule of two lines":    wiretest.Frame(TypeRule, "a\nb"),
		"an end":                 "",
	} {
		outcome, err := Relay(&wiretest.Stream{Reader: strings.NewReader(text + wiretest.Frame(wire.TypeVerdict, "\x01"))}, &typist{})
		if text == "" {
			outcome, err = Relay(&wiretest.Stream{Reader: strings.NewReader("")}, &typist{})
		}
		var engine EngineError
		if outcome != (Outcome{}) || !errors.As(err, &engine) {
			t.Errorf("%s: %+v, %v", name, outcome, err)
		}
	}
	gone := errors.New("gone")
	var engine EngineError
	for _, text := range []string{wiretest.Frame(wire.TypePrompt, "\x01x"), wiretest.Frame(wire.TypePrompt, "\x05\x06\x00")} {
		outcome, err := Relay(&wiretest.Stream{Reader: strings.NewReader(text + wiretest.Frame(wire.TypeVerdict, "\x01"))}, &typist{gone: gone})
		if outcome != (Outcome{}) || !errors.Is(err, gone) || errors.As(err, &engine) {
			t.Errorf("%+v, %v", outcome, err)
		}
	}
}

// writes counts what comes in one piece each.
type writes struct {
	wiretest.Stream
	number int
}

func (w *writes) Write(p []byte) (int, error) {
	w.number++
	return w.Stream.Write(p)
}

// The rule goes together with the verdict: each piece wakes up three machines' programs.
func TestEndIsOnePiece(t *testing.T) {
	for text, outcome := range map[string]Outcome{
		wiretest.Frame(TypeRule, "totp:phone") + wiretest.Frame(wire.TypeVerdict, "\x01"): {Verdict: wire.Accept, Rule: "totp:phone"},
		wiretest.Frame(wire.TypeVerdict, "\x00"):                                          {},
		wiretest.Frame(TypeRule, "split") + wiretest.Frame(wire.TypeVerdict, "\x05\x06"):  {Verdict: wire.Split, Split: 6, Rule: "split"},
	} {
		var to writes
		if err := End(wire.Peer{Stream: &to}, outcome); err != nil || to.number != 1 || to.String() != text {
			t.Errorf("%+v: %v, %q in %d pieces", outcome, err, to.String(), to.number)
		}
	}
	var to writes
	if err := End(wire.Peer{Stream: &to}, Outcome{Verdict: wire.Split, Rule: "split"}); err == nil || to.number != 0 {
		t.Errorf("a split of nothing: %v, %d pieces", err, to.number)
	}
}

func FuzzTake(f *testing.F) {
	f.Add([]byte(wiretest.Frame(TypeTake, "\x0112345678\x00web1")))
	f.Fuzz(func(t *testing.T, data []byte) { wiretest.WrittenAgain(t, data, ReadTake, WriteTake) })
}

func FuzzBegin(f *testing.F) {
	var stream bytes.Buffer
	if err := WriteBegin(&stream, whole); err != nil {
		f.Fatal(err)
	}
	f.Add(stream.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) { wiretest.WrittenAgain(t, data, ReadBegin, WriteBegin) })
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(wiretest.Frame(TypeTaken, "\x00\x00\x01\x9a\xb0\x00\x00\x005f3a")))
	f.Add([]byte(wiretest.Frame(TypeTaken, strings.Repeat("\x00", 8)+"5f3a")))
	f.Add([]byte(wiretest.Frame(TypeBusy, "its ledger is out of reach")))
	f.Add([]byte(wiretest.Frame(TypeFull, "web1 has 256 logins open")))
	f.Fuzz(func(t *testing.T, data []byte) {
		answer, err := ReadAnswer(bytes.NewReader(data))
		if err == nil && (answer.Taken != (answer.Ledger != "") || answer.Taken && answer.Full) || err != nil && answer != (Answer{}) {
			t.Errorf("%+v, %v", answer, err)
		}
	})
}

func FuzzRelay(f *testing.F) {
	f.Add([]byte(wiretest.Frame(wire.TypePrompt, "\x01Code: ") + wiretest.Frame(TypeRule, "totp:phone") + wiretest.Frame(wire.TypeVerdict, "\x01")))
	f.Add([]byte(wiretest.Frame(wire.TypePrompt, "\x05\x06\x000123456789") + wiretest.Frame(wire.TypeVerdict, "\x05\x06")))
	f.Fuzz(func(t *testing.T, data []byte) {
		outcome, err := Relay(&wiretest.Stream{Reader: bytes.NewReader(data)}, &typist{end: "123456"})
		if err != nil && outcome != (Outcome{}) || (outcome.Verdict == wire.Split) != (outcome.Split > 0) || outcome.Split > wire.MaxTail {
			t.Errorf("%+v, %v", outcome, err)
		}
	})
}
