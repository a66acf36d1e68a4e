package otpauth

import (
	"fmt"
	"image"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
)

// margin is the light border that ISO/IEC 18004 section 6.3.8 asks for, in
// modules.
const margin = 4

// QR is a QR code with its margin.
type QR struct {
	modules barcode.Barcode
	// Size is how many modules it has on a side.
	Size int
}

// Draw makes the QR code of text.
func Draw(text string) (QR, error) {
	// A screen is not torn or stained: the lowest correction level keeps the
	// picture small.
	modules, err := qr.Encode(text, qr.L, qr.Unicode)
	if err != nil {
		return QR{}, fmt.Errorf("draw QR code: %w", err)
	}
	return QR{modules, modules.Bounds().Dx() + 2*margin}, nil
}

// Dark says what is at x, y, each from 0 to Size-1.
func (q QR) Dark(x, y int) bool {
	if at := image.Pt(x-margin, y-margin); at.In(q.modules.Bounds()) {
		r, _, _, _ := q.modules.At(at.X, at.Y).RGBA()
		return r == 0
	}
	return false
}

// blackOnWhite names colours that no theme remaps, as many phones read only
// dark modules on a light ground.
const (
	blackOnWhite = "\x1b[38;5;16;48;5;231m"
	plain        = "\x1b[0m"
)

// Blocks draws the code with two modules in a character. Without colour it is
// right on a dark ground, which most terminals have.
func (q QR) Blocks(colour bool) string {
	// By the dark modules: none, the upper, the lower, both.
	glyphs := []string{" ", "▀", "▄", "█"}
	begin, end := blackOnWhite, plain
	if !colour {
		glyphs = []string{"█", "▄", "▀", " "}
		begin, end = "", ""
	}
	var text strings.Builder
	for y := 0; y < q.Size; y += 2 {
		text.WriteString(begin)
		for x := range q.Size {
			glyph := 0
			if q.Dark(x, y) {
				glyph = 1
			}
			if q.Dark(x, y+1) {
				glyph += 2
			}
			text.WriteString(glyphs[glyph])
		}
		text.WriteString(end + "\n")
	}
	return text.String()
}
