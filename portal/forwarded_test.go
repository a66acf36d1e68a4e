package main

import (
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/portal"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// What the doctor says of an nginx that does not tell where browsers are (page-forwarded-for)
// is what the real one does.
func TestNginxThatDoesNotSayWhere(t *testing.T) {
	const right, lie = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", "198.51.100.66"
	for name, test := range map[string]struct {
		above, instead string
		status         int
		remote         string // as the page takes it to be
	}{
		"silent":   {"", "", http.StatusServiceUnavailable, ""},
		"hides":    {"proxy_set_header X-Forwarded-For " + lie + ";\n", "", http.StatusServiceUnavailable, ""},
		"believes": {"", "proxy_set_header X-Forwarded-For $http_x_forwarded_for;", http.StatusOK, lie},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			server := recipe(t, dir)
			if strings.Count(server, right) != 1 {
				t.Fatalf("expected %q in\n%s", right, server)
			}
			nginx := startNginx(t, dir, test.above+strings.Replace(server, right, test.instead, 1))
			page, err := listenAt("unix:" + filepath.Join(dir, "http.sock"))
			if err != nil {
				t.Fatal(err)
			}
			remote := ""
			handler, err := portal.New(portal.Settings{
				URL: &url.URL{Scheme: "https", Host: "otp.example.com"}, Now: time.Now, Zone: time.UTC, Report: func(string, string) {},
				Ask: func(_ context.Context, request portalwire.Request) (portalwire.Answer, error) {
					remote = request.Remote
					return portalwire.Answer{Page: &portalwire.Page{State: portalwire.Ready, At: time.Now()}}, nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			http := newServer(handler, &lines{})
			http.ReadHeaderTimeout, http.ReadTimeout = 0, 0 // a busy machine may need longer
			go http.Serve(page)
			t.Cleanup(func() { http.Close() })
			request := requestWith(t, "https://otp.example.com/l/abcdefghijklmnopqrstuvwxyz234567", test.remote)
			response, err := nginx.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != test.status || remote != test.remote {
				t.Errorf("%d, as of %q, expected %d and %q", response.StatusCode, remote, test.status, test.remote)
			}
		})
	}
}

// requestWith is a request of a browser that says it is elsewhere.
func requestWith(t *testing.T, at, elsewhere string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if elsewhere != "" {
		request.Header.Set("X-Forwarded-For", elsewhere)
	}
	return request
}
