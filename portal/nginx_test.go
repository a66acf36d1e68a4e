package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/testwait"
)

// The server of docs/invitations.md in a real nginx that writes down what it can: no link
// is in its logs, whether the page answers, is away, or goes while it is asked.
func TestNginxLogsNoLink(t *testing.T) {
	dir := t.TempDir()
	nginx := startNginx(t, dir, recipe(t, dir))
	const path = "/l/abcdefghijklmnopqrstuvwxyz234567"
	status := func() int {
		response, err := nginx.Get("https://otp.example.com" + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if got := status(); got != http.StatusBadGateway {
		t.Errorf("the page is away: %d", got)
	}
	page, err := listenAt("unix:" + filepath.Join(dir, "http.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var hangUp atomic.Bool
	hangUp.Store(true)
	server := newServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path || r.Host != "otp.example.com" {
			t.Errorf("asked for %s at %s", r.URL.Path, r.Host)
		}
		if hangUp.Load() {
			panic(http.ErrAbortHandler)
		}
	}), &lines{})
	server.ReadHeaderTimeout, server.ReadTimeout = 0, 0 // a busy machine may need longer
	go server.Serve(page)
	t.Cleanup(func() { server.Close() })
	if got := status(); got != http.StatusBadGateway {
		t.Errorf("the page goes while it is asked: %d", got)
	}
	hangUp.Store(false)
	if got := status(); got != http.StatusOK {
		t.Errorf("the page answers: %d", got)
	}
	logs := 0
	err = filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, ".log") {
			return err
		}
		logs++
		text, err := os.ReadFile(file)
		if bytes.Contains(text, []byte("/l/")) {
			t.Errorf("%s:\n%s", file, text)
		}
		return err
	})
	if err != nil || logs != 3 {
		t.Errorf("expected three logs, found %d, %v", logs, err)
	}
}

// recipe is the server of the document, below a directory and at a socket there.
func recipe(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/invitations.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/invitations.md has no server for nginx")
	}
	server := string(found[1])
	certificate, key := writePair(t, dir, 1)
	for from, to := range map[string]string{
		"listen 443 ssl":                       "listen unix:" + dir + "/https.sock ssl",
		"/etc/ssl/otp.example.com.pem":         certificate,
		"/etc/ssl/private/otp.example.com.key": key,
		"unix:/run/otpgate-portal/http.sock":   "unix:" + dir + "/http.sock",
	} {
		if strings.Count(server, from) != 1 {
			t.Fatalf("expected %q once in\n%s", from, server)
		}
		server = strings.Replace(server, from, to, 1)
	}
	return server
}

// startNginx starts an nginx that has this server alone and logs beside it. It returns
// who reaches that.
func startNginx(t *testing.T, dir, server string) *http.Client {
	t.Helper()
	config := "daemon off; master_process off; pid " + dir + "/pid; error_log " + dir + "/error.log info;\n" +
		"events {}\nhttp {\n access_log " + dir + "/access.log;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += " " + kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	if err := os.WriteFile(dir+"/nginx.conf", []byte(config+server+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(dir + "/stderr.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	nginx := exec.Command("nginx", "-e", "stderr", "-c", dir+"/nginx.conf")
	nginx.Stderr, nginx.SysProcAttr = log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- nginx.Wait() }()
	t.Cleanup(func() {
		_ = nginx.Process.Kill()
		<-ended
	})
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // it is this test's own
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", dir+"/https.sock")
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	testwait.Until(t, "nginx listens", func() bool {
		select {
		case err := <-ended:
			ended <- err
			said, _ := os.ReadFile(dir + "/stderr.log")
			t.Fatalf("nginx has ended: %v\n%s", err, said)
		default:
		}
		conn, err := net.Dial("unix", dir+"/https.sock")
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return &http.Client{Transport: transport}
}
