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
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/browsertest"
	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// update has TestPictures take the pictures of the documents anew:
// go test ./internal/portal -run TestPictures -update.
var update = flag.Bool("update", false, "take the pictures of the page in docs/pictures anew")

const (
	pictures = "../../docs/pictures"
	// mostBytes is what a picture may have, as it stays in the repository for good.
	mostBytes = 40 << 10
)

// The documents show each page that somebody who enrolls sees, and those on which people
// look after what is theirs, and say what is on them. That they look like the pages is not
// compared: letters differ by machine.
func TestPictures(t *testing.T) {
	if *update {
		takePictures(t)
	}
	for _, one := range pictured {
		name := one.name + ".png"
		document, err := os.ReadFile("../../docs/" + one.document)
		if err != nil {
			t.Fatal(err)
		}
		if shows := regexp.MustCompile(`!\[[^\]]{10,}\]\(pictures/` + regexp.QuoteMeta(name) + `\)`); !shows.Match(document) {
			t.Errorf("docs/%s does not show pictures/%s, with a text for who does not see it", one.document, name)
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

const invitations, ownPages = "invitations.md", "self-service.md"

// pictured are the pages of which there is a picture, in the window that they are in, and
// the document that shows it.
var pictured = []struct {
	name, document string
	width          int64
	phone, dark    bool
	// opens is how many tabs away is what is unfolded, 0 for nothing.
	opens int
	draw  func(p *portal, w http.ResponseWriter, r *http.Request)
}{
	{name: "invitation", document: invitations, width: 600, draw: func(p *portal, w http.ResponseWriter, r *http.Request) {
		p.draw(w, r, http.StatusOK, "ready", func(s *pageData) {
			s.Page = &portalwire.Page{State: portalwire.Ready, At: p.Now().Add(72 * time.Hour), Name: "a…e"}
		})
	}},
	{name: "setup", document: invitations, width: 600, draw: drawSample},
	{name: "setup-phone", document: invitations, width: 360, phone: true, dark: true, draw: drawSample},
	{name: "done", document: invitations, width: 600, draw: func(p *portal, w http.ResponseWriter, r *http.Request) {
		p.draw(w, r, http.StatusOK, "done", func(s *pageData) {
			s.Enrolled = &portalwire.Enrolled{ID: "phone", RecoveryCodes: sampleCodes}
		})
	}},
	{name: "self-service", document: ownPages, width: 600, draw: func(p *portal, w http.ResponseWriter, r *http.Request) {
		drawOverview(p, w, r, sampleDevices, sampleSessions, sampleLogins)
	}},
	{name: "recovery-codes", document: ownPages, width: 600, draw: func(p *portal, w http.ResponseWriter, r *http.Request) {
		p.draw(w, r, http.StatusOK, "codes", func(s *pageData) { s.Codes = sampleCodes })
	}},
	// Before the login's are what is the device's, adding one, and recovery codes.
	{name: "report-phone", document: ownPages, width: 360, phone: true, dark: true, opens: 4, draw: func(p *portal, w http.ResponseWriter, r *http.Request) {
		drawOverview(p, w, r, sampleDevices[:1], nil, sampleLogins[:1])
	}},
}

// sampleTime is when the pictures are taken.
var sampleTime = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return sampleTime.Add(-d) }

// What is alice's, with addresses that are for documents (RFC 5737).
var (
	sampleDevices = []portalwire.Device{
		{ID: "phone", Kind: "totp", Confirmed: ago(180 * 24 * time.Hour), Removable: true},
		{ID: "tablet", Kind: "totp", Confirmed: ago(20 * 24 * time.Hour), Removable: true},
	}
	sampleSessions = []portalwire.Session{
		{ID: "00000000000000a1", Protocol: "ssh", Address: "192.0.2.7", Since: ago(26 * time.Hour), Until: sampleTime.Add(29 * 24 * time.Hour)},
	}
	sampleLogins = []portalwire.Login{
		{ID: "00000000000000b1", At: ago(9 * time.Hour), Service: "sshd", Host: "server1", Address: "203.0.113.9", Denied: true},
		{ID: "00000000000000b2", At: ago(26 * time.Hour), Service: "sshd", Host: "server1", Address: "192.0.2.7", Rule: "totp:phone"},
	}
)

func drawOverview(p *portal, w http.ResponseWriter, r *http.Request, devices []portalwire.Device, sessions []portalwire.Session, logins []portalwire.Login) {
	p.draw(w, r, http.StatusOK, "manage", func(s *pageData) {
		s.Overview = &portalwire.Overview{
			User: "alice", Ends: p.Now().Add(15 * time.Minute), RecoveryLeft: 9, Devices: devices, Sessions: sessions, Logins: logins,
		}
	})
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
		Now:    func() time.Time { return sampleTime },
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
		if one.opens > 0 {
			unfolds(t, b, one.opens)
		}
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
