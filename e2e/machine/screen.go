package machine

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Screen is a program in tmux, which shows what a person would see of it.
type Screen struct {
	t   T
	dir string
	// logged is how many lines the machine had logged before.
	logged int
}

// Show starts a program on a dark screen of that many columns and lines.
func Show(t T, columns, lines int, command *exec.Cmd) *Screen {
	t.Helper()
	dir, err := os.MkdirTemp(Root, "screen-")
	if err != nil {
		t.Fatalf("%v", err)
	}
	s := &Screen{t: t, dir: dir, logged: len(Log.Lines())}
	t.Cleanup(func() { _, _ = s.tmux("kill-server") })
	// What it ended with must stay on the screen. No argument here has a
	// semicolon of its own at its end, which tmux would take for one of these.
	args := []string{"-f", "/dev/null", "start-server", ";", "set-option", "-g", "remain-on-exit", "on", ";",
		"new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(lines), "--", command.Path}
	if out, err := s.tmux(append(args, command.Args[1:]...)...); err != nil {
		t.Fatalf("tmux: %v: %s", err, out)
	}
	return s
}

func (s *Screen) tmux(args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-u", "-S", filepath.Join(s.dir, "socket")}, args...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TERM=xterm-256color", "HOME=/root", "SHELL=/bin/sh"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Text is what the screen shows.
func (s *Screen) Text() string {
	s.t.Helper()
	out, err := s.tmux("capture-pane", "-p")
	if err != nil {
		s.t.Fatalf("tmux: %v: %s", err, out)
	}
	return out
}

// Await waits until the screen shows text.
func (s *Screen) Await(text string) {
	s.t.Helper()
	if err := until(Patience, func() bool { return strings.Contains(s.Text(), text) }); err != nil {
		s.t.Fatalf("expected %q on the screen, %s", text, s.found())
	}
}

// AwaitTimes waits until the screen shows text that many times. What is typed
// before a prompt is there can be lost: programs that turn the echo off throw
// away what came earlier.
func (s *Screen) AwaitTimes(text string, times int) {
	s.t.Helper()
	if err := until(Patience, func() bool { return strings.Count(s.Text(), text) >= times }); err != nil {
		s.t.Fatalf("expected %q %d times on the screen, %s", text, times, s.found())
	}
}

// found is what the screen shows, and what otpgate has logged meanwhile: people
// are not told why a code could not be sent.
func (s *Screen) found() string {
	s.t.Helper()
	var lines []Line
	for _, line := range Log.Lines()[s.logged:] {
		if strings.Contains(line.Text, "otpgate") {
			lines = append(lines, line)
		}
	}
	return fmt.Sprintf("found\n%s\nand in the log meanwhile:\n%s", strings.TrimRight(s.Text(), "\n"), Text(lines))
}

// Type types text and the return key.
func (s *Screen) Type(text string) {
	s.t.Helper()
	for _, args := range [][]string{{"send-keys", "-l", "--", text}, {"send-keys", "Enter"}} {
		if args[1] == "-l" && text == "" {
			continue
		}
		if out, err := s.tmux(args...); err != nil {
			s.t.Fatalf("tmux: %v: %s", err, out)
		}
	}
}

// QR reads the QR code on the screen, drawn in half blocks, as a phone would.
func (s *Screen) QR() string {
	s.t.Helper()
	const cell = 8 // pixels of half a character
	lines := strings.Split(s.Text(), "\n")
	picture := image.NewGray(image.Rect(0, 0, 200*cell, 2*len(lines)*cell))
	fill := func(x, y int) {
		for dy := range cell {
			for dx := range cell {
				picture.SetGray(x*cell+dx, y*cell+dy, color.Gray{Y: 255})
			}
		}
	}
	for y, line := range lines {
		for x, glyph := range []rune(line) {
			if glyph == '█' || glyph == '▀' {
				fill(x, 2*y)
			}
			if glyph == '█' || glyph == '▄' {
				fill(x, 2*y+1)
			}
		}
	}
	path := filepath.Join(s.dir, "screen.png")
	file, err := os.Create(path)
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	if err := png.Encode(file, picture); err != nil {
		s.t.Fatalf("draw the screen: %v", err)
	}
	if err := file.Close(); err != nil {
		s.t.Fatalf("%v", err)
	}
	// It takes what chance makes of a QR code's modules for a bar code, too.
	out, err := exec.Command("zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", path).Output()
	if err != nil {
		s.t.Fatalf("zbarimg finds no QR code: %v\n%s", err, s.Text())
	}
	return strings.TrimSpace(string(out))
}
