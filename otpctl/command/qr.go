package command

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/otpgate/otpgate/internal/otpauth"
	"github.com/otpgate/otpgate/internal/safefile"
)

// showQR draws text on the terminal, unless it has too little room.
func (a *app) showQR(text string) error {
	code, err := otpauth.Draw(text)
	if err != nil {
		return err
	}
	rows := (code.Size + 1) / 2
	if file, ok := a.Stdout.(*os.File); ok {
		width, height, err := term.GetSize(int(file.Fd()))
		if err == nil && width > 0 && width < code.Size {
			a.note("the QR code needs %d columns and this terminal has %d: widen it, or use --qr png=FILE", code.Size, width)
			return nil
		}
		if err == nil && height > 0 && height < rows {
			a.note("the QR code needs %d lines and this terminal has %d: make it higher, or use --qr png=FILE", rows, height)
		}
	}
	colour := mayColour()
	fmt.Fprint(a.out, code.Blocks(colour))
	return nil
}

// pngFile is a new file for a picture that holds a secret.
type pngFile struct{ file *os.File }

func newPNG(path string) (*pngFile, error) {
	file, err := newSecretFile("--qr", path)
	if err != nil {
		return nil, err
	}
	return &pngFile{file}, nil
}

// newSecretFile makes a file for something secret, which must not be there yet.
// Its directory must be as safe as that of a secret file, so that no link leads
// it elsewhere. flag names it in errors.
func newSecretFile(flag, path string) (*os.File, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dir, err := safefile.OpenDir(filepath.Dir(absolute))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	defer dir.Close()
	fd, err := unix.Openat(dir.Fd(), filepath.Base(absolute),
		unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("%s: %s is there already; it is not overwritten", flag, absolute)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, &os.PathError{Op: "create", Path: absolute, Err: err})
	}
	return os.NewFile(uintptr(fd), absolute), nil
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
