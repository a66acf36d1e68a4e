package wire

import (
	"bytes"
	"io"
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
		peer := &greedy{text: bytes.NewReader(append([]byte{byte(TypeStart), 0, 0x40, 0}, make([]byte, sent)...))}
		if _, err := ReadStart(peer); err == nil {
			t.Errorf("%d bytes of 16 KiB were taken for a frame", sent)
		}
		if peer.most == 0 || peer.most > most {
			t.Errorf("after %d bytes %d more were asked for, want at most %d", sent, peer.most, most)
		}
	}
}
