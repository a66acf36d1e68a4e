package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// greedy notes how much room a read has, and gives nothing once the text is over.
type greedy struct {
	text io.Reader
	most int
}

func (g *greedy) Read(p []byte) (int, error) {
	n, err := g.text.Read(p)
	if err == io.EOF {
		g.most = max(g.most, len(p))
	}
	return n, err
}

// Who announces much and sends little takes little.
func TestAnnouncedIsNotTaken(t *testing.T) {
	for sent, most := range map[int]int{0: 512, 100: 512, 512: 512, 600: 1024, 3000: 4096} {
		peer := &greedy{text: bytes.NewReader(append([]byte{byte(TypeStart), 0, maxStart >> 8, maxStart & 0xff}, make([]byte, sent)...))}
		if _, err := ReadStart(peer); err == nil {
			t.Errorf("%d bytes of a longer one were taken for a frame", sent)
		}
		if peer.most == 0 || peer.most > most {
			t.Errorf("after %d bytes %d more were asked for, want at most %d", sent, peer.most, most)
		}
	}
}

// What is announced beyond what a front sends is refused before it comes, and so
// is a field that the engine would keep for as long as a person types.
func TestFramesAreNoLongerThanNeeded(t *testing.T) {
	for name, test := range map[string]struct {
		read func(io.Reader) error
		head []byte
	}{
		"start": {func(r io.Reader) error { _, err := ReadStart(r); return err }, []byte{byte(TypeStart), 0, (maxStart + 1) >> 8, (maxStart + 1) & 0xff}},
		"reply": {func(r io.Reader) error { _, err := (Peer{readWriter{r}}).reply(); return err }, []byte{byte(TypeReply), 0, (MaxAnswer + 2) >> 8, (MaxAnswer + 2) & 0xff}},
	} {
		peer := &greedy{text: bytes.NewReader(test.head)}
		if err := test.read(peer); !errors.Is(err, ErrProtocol) || peer.most != 0 {
			t.Errorf("%s: %v, and %d bytes more were asked for", name, err, peer.most)
		}
	}
	long := func(n int) string { return strings.Repeat("x", n) }
	largest := Start{User: long(maxName), Service: long(maxName), RemoteHost: long(maxHost), RemoteUser: long(maxName), TTY: long(maxName), Protocol: long(maxName),
		Config: long(maxConfig), Timeout: MaxTimeout, Debug: true, Split: true, AfterSplit: true, CodeBehind: true, Unproven: true, Rule: true}
	var frame bytes.Buffer
	if err := WriteStart(&frame, largest); err != nil || frame.Len() != headerSize+maxStart {
		t.Errorf("the largest frame of a front has %d bytes, %v; want %d", frame.Len(), err, headerSize+maxStart)
	}
	if start, err := ReadStart(&frame); err != nil || start != largest {
		t.Errorf("the largest frame of a front: %+v, %v", start, err)
	}
	for _, start := range []Start{{Service: long(maxName + 1)}, {TTY: long(maxName + 1)}, {RemoteHost: long(maxHost + 1)}, {Config: long(maxConfig + 1)}} {
		frame.Reset()
		if err := WriteStart(&frame, start); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadStart(&frame); !errors.Is(err, ErrProtocol) {
			t.Errorf("a field that is too long: %v", err)
		}
	}
}

type readWriter struct{ io.Reader }

func (readWriter) Write(p []byte) (int, error) { return len(p), nil }
