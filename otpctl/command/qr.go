package command

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/otpgate/otpgate/internal/safefile"
)

// margin is the light border that ISO/IEC 18004 section 6.3.8 asks for, in
// modules.
const margin = 4

// qrCode is a QR code with its margin: dark says what is at x, y.
type qrCode struct {
	modules barcode.Barcode
	size    int
}

func newQR(text string) (qrCode, error) {
	// A screen is not torn or stained: the lowest correction level keeps the
	// picture small.
	modules, err := qr.Encode(text, qr.L, qr.Unicode)
	if err != nil {
		return qrCode{}, fmt.Errorf("draw QR code: %w", err)
	}
	return qrCode{modules, modules.Bounds().Dx() + 2*margin}, nil
}

func (q qrCode) dark(x, y int) bool {
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

// blocks draws the code with two modules in a character. Without colour it is
// right on a dark ground, which most terminals have.
func (q qrCode) blocks(colour bool) string {
	// By the dark modules: none, the upper, the lower, both.
	glyphs := []string{" ", "▀", "▄", "█"}
	begin, end := blackOnWhite, plain
	if !colour {
		glyphs = []string{"█", "▄", "▀", " "}
		begin, end = "", ""
	}
	var text strings.Builder
	for y := 0; y < q.size; y += 2 {
		text.WriteString(begin)
		for x := range q.size {
			glyph := 0
			if q.dark(x, y) {
				glyph = 1
			}
			if q.dark(x, y+1) {
				glyph += 2
			}
			text.WriteString(glyphs[glyph])
		}
		text.WriteString(end + "\n")
	}
	return text.String()
}

// showQR draws text on the terminal, unless it has too little room.
func (a *app) showQR(text string) error {
	code, err := newQR(text)
	if err != nil {
		return err
	}
	rows := (code.size + 1) / 2
	if file, ok := a.Stdout.(*os.File); ok {
		width, height, err := term.GetSize(int(file.Fd()))
		if err == nil && width > 0 && width < code.size {
			a.note("the QR code needs %d columns and this terminal has %d: widen it, or use --qr png=FILE", code.size, width)
			return nil
		}
		if err == nil && height > 0 && height < rows {
			a.note("the QR code needs %d lines and this terminal has %d: make it higher, or use --qr png=FILE", rows, height)
		}
	}
	colour := os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	fmt.Fprint(a.out, code.blocks(colour))
	return nil
}

// pngFile is a new file for a picture that holds a secret.
type pngFile struct{ file *os.File }

// newPNG makes the file, which must not be there yet. Its directory must be as
// safe as that of a secret file, so that no link leads it elsewhere.
func newPNG(path string) (*pngFile, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dir, err := safefile.OpenDir(filepath.Dir(absolute))
	if err != nil {
		return nil, fmt.Errorf("--qr: %w", err)
	}
	defer dir.Close()
	fd, err := unix.Openat(dir.Fd(), filepath.Base(absolute),
		unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("--qr: %s is there already; it is not overwritten", absolute)
	}
	if err != nil {
		return nil, fmt.Errorf("--qr: %w", &os.PathError{Op: "create", Path: absolute, Err: err})
	}
	return &pngFile{os.NewFile(uintptr(fd), absolute)}, nil
}

// modulePixels makes a module large enough for a phone held over a print.
const modulePixels = 8

func (p *pngFile) draw(text string) error {
	err := p.encode(text)
	if err != nil {
		return errors.Join(err, p.discard())
	}
	return p.file.Close()
}

func (p *pngFile) encode(text string) error {
	code, err := newQR(text)
	if err != nil {
		return err
	}
	side := code.size * modulePixels
	picture := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if code.dark(x/modulePixels, y/modulePixels) {
				picture.SetColorIndex(x, y, 1)
			}
		}
	}
	if err := png.Encode(p.file, picture); err != nil {
		return fmt.Errorf("write %s: %w", p.file.Name(), err)
	}
	return nil
}

// discard takes back a file that nothing came of.
func (p *pngFile) discard() error {
	return errors.Join(os.Remove(p.file.Name()), p.file.Close())
}
