package portal

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/browsertest"
	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// update has TestPictures take the pictures of docs/invitations.md anew:
// go test ./internal/portal -run TestPictures -update.
var update = flag.Bool("update", false, "take the pictures of the page in docs/pictures anew")

const (
	pictures = "../../docs/pictures"
	// mostBytes is what a picture may have, as it stays in the repository for good.
	mostBytes = 40 << 10
)

// The document shows each page that somebody who enrolls sees. That they look like the
// pages is not compared: letters differ by machine.
func TestPictures(t *testing.T) {
	if *update {
		takePictures(t)
	}
	document, err := os.ReadFile("../../docs/invitations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range pictured {
		name := one.name + ".png"
		if !strings.Contains(string(document), "](pictures/"+name+")") {
			t.Errorf("docs/invitations.md does not show pictures/%s", name)
		}
		file, err := os.ReadFile(filepath.Join(pictures, name))
		if err != nil {
			t.Error(err)
			continue
		}
		size, err := png.DecodeConfig(bytes.NewReader(file))
		if err != nil || size.Width != int(one.width) || len(file) > mostBytes {
			t.Errorf("%s is %d wide and has %d bytes, %v; expected a PNG %d wide with at most %d", name, size.Width, len(file), err, one.width, mostBytes)
		}
	}
	kept, err := os.ReadDir(pictures)
	if err != nil || len(kept) != len(pictured) {
		t.Errorf("%s has %d files, expected %d; %v", pictures, len(kept), len(pictured), err)
	}
}

// sampleKey is in no device.
const sampleKey = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

var sampleCodes = []string{
	"4kq2-v6mx-w7pd-3rht", "b5ny-2gca-x4ze-q6ju", "m3fw-7tkd-5vbr-y2sp", "e6xh-q4zn-3jcg-w7va", "t2pm-5dyb-k6rf-4xqe",
	"z7gv-w3hs-2npc-j5km", "c4rt-6xfe-y7qb-3dvw", "p5jn-z2ka-4gmh-s6xt", "q3vd-7wby-6cez-5hfr", "h6ms-2kxp-t4ng-7jqc",
}

// pictured are the pages of which there is a picture, in the window that they are in.
var pictured = []struct {
	name        string
	width       int64
	phone, dark bool
	draw        func(p *portal, w http.ResponseWriter, r *http.Request)
}{
	{name: "invitation", width: 600, draw: func(p *portal, w http.ResponseWriter, r *http.Request) {
		p.draw(w, r, http.StatusOK, "ready", func(s *pageData) {
			s.Page = &portalwire.Page{State: portalwire.Ready, At: p.Now().Add(72 * time.Hour), Name: "a…e"}
		})
	}},
	{name: "setup", width: 600, draw: drawSample},
	{name: "setup-phone", width: 360, phone: true, dark: true, draw: drawSample},
	{name: "done", width: 600, draw: func(p *portal, w http.ResponseWriter, r *http.Request) {
		p.draw(w, r, http.StatusOK, "done", func(s *pageData) {
			s.Enrolled = &portalwire.Enrolled{ID: "phone", RecoveryCodes: sampleCodes}
		})
	}},
}

func drawSample(p *portal, w http.ResponseWriter, r *http.Request) {
	p.setup(w, r, http.StatusOK, &portalwire.Setup{
		URI: "otpauth://totp/example.com:alice?secret=" + sampleKey + "&issuer=example.com", Key: "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP", ID: "phone",
		Digits: 6, Period: 30, Algorithm: "SHA1", Ends: p.Now().Add(15 * time.Minute),
	}, "")
}

func takePictures(t *testing.T) {
	languages, err := readLanguages(catalogue.Files)
	if err != nil {
		t.Fatal(err)
	}
	settings := Settings{
		URL: &url.URL{Scheme: "https", Host: "otp.example.com"}, Zone: time.UTC,
		Now:    func() time.Time { return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) },
		Report: func(_, reason string) { t.Error(reason) },
	}
	p := newPortal(settings, languages)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+stylePath, style)
	for _, one := range pictured {
		mux.HandleFunc("GET /"+one.name, func(w http.ResponseWriter, r *http.Request) { one.draw(p, w, r) })
	}
	server := httptest.NewServer(mux)
	defer server.Close()
	b := browsertest.Start(t, browsertest.Options{})
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, one := range pictured {
		// The picture is as high as the page, if that is more than the window.
		b.Do(t, browsertest.Window(one.width, 100, one.phone, one.dark)...)
		b.Opens(t, server.URL+"/"+one.name)
		if err := os.WriteFile(filepath.Join(pictures, one.name+".png"), small(t, b.Screen(t)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// small is the same picture in its sixteen commonest colours: at the edges of letters are
// shades that nobody tells apart.
func small(t *testing.T, screen []byte) []byte {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(screen))
	if err != nil {
		t.Fatal(err)
	}
	count := map[color.RGBA]int{}
	for y := range full.Bounds().Dy() {
		for x := range full.Bounds().Dx() {
			count[color.RGBAModel.Convert(full.At(x, y)).(color.RGBA)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var palette color.Palette
	for _, one := range colours[:min(16, len(colours))] {
		palette = append(palette, one)
	}
	reduced := image.NewPaletted(full.Bounds(), palette)
	draw.Draw(reduced, full.Bounds(), full, image.Point{}, draw.Src)
	var file bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&file, reduced); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}
