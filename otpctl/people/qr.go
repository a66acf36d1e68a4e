package people

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"

	"golang.org/x/term"

	"github.com/otpgate/otpgate/internal/otpauth"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// showQR draws text on the terminal, unless it has too little room.
func showQR(a *invocation.App, text string) error {
	code, err := otpauth.Draw(text)
	if err != nil {
		return err
	}
	rows := (code.Size + 1) / 2
	if file, ok := a.Stdout.(*os.File); ok {
		width, height, err := term.GetSize(int(file.Fd()))
		if err == nil && width > 0 && width < code.Size {
			a.Note("the QR code needs %d columns and this terminal has %d: widen it, or use --qr png=FILE", code.Size, width)
			return nil
		}
		if err == nil && height > 0 && height < rows {
			a.Note("the QR code needs %d lines and this terminal has %d: make it higher, or use --qr png=FILE", rows, height)
		}
	}
	colour := invocation.MayColour()
	fmt.Fprint(a.Out, code.Blocks(colour))
	return nil
}

// pngFile is a new file for a picture that holds a secret.
type pngFile struct{ file *os.File }

func newPNG(path string) (*pngFile, error) {
	file, err := invocation.NewSecretFile("--qr", path)
	if err != nil {
		return nil, err
	}
	return &pngFile{file}, nil
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
	code, err := otpauth.Draw(text)
	if err != nil {
		return err
	}
	side := code.Size * modulePixels
	picture := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if code.Dark(x/modulePixels, y/modulePixels) {
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
