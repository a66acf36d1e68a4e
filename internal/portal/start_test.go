package portal

import (
	"net/http"
	"testing"
)

// Whoever comes without a link is told what one is for, and nobody is asked anything.
func TestStart(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	s.says(t, b.get(t, "/"), http.StatusOK, "start")
}
