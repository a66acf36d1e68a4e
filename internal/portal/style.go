package portal

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"strconv"
)

//go:embed style.css
var styleSheet []byte

// stylePath changes with the style, so that browsers may keep it for good.
var stylePath = func() string {
	sum := sha256.Sum256(styleSheet)
	return "/style-" + hex.EncodeToString(sum[:6]) + ".css"
}()

const forGood = "public, max-age=31536000, immutable"

func style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(styleSheet)))
	w.Header().Set("Cache-Control", forGood)
	_, _ = w.Write(styleSheet)
}

// noIcon answers browsers that ask for an icon by themselves.
func noIcon(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", forGood)
	w.WriteHeader(http.StatusNoContent)
}
