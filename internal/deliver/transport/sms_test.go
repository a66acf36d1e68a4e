package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/twiliotest"
	"github.com/otpgate/otpgate/internal/testaddress"
)

// quiet is for servers whose clients do not trust them.
var quiet = log.New(io.Discard, "", 0)

func TestTwilio(t *testing.T) {
	gateway := twiliotest.New()
	plain, secured, ca := serve(t, gateway)
	for _, test := range []struct{ name, config string }{
		{"HTTP to the machine itself", twilio(t, plain, "")},
		{"HTTPS", twilio(t, secured, "ca_file = '"+ca+"'\n")},
	} {
		t.Run(test.name, func(t *testing.T) {
			gateway.Clear()
			s, _ := newSender(t, test.config)
			got, err := s.Send(context.Background(), message)
			if want := (deliver.Delivery{Channel: deliver.SMS, To: "+49…567"}); got != want || err != nil {
				t.Errorf("expected %+v, found %+v, %v", want, got, err)
			}
			sent := gateway.Messages()
			if len(sent) != 1 || gateway.Requests() != 1 {
				t.Fatalf("%d requests, messages %+v", gateway.Requests(), sent)
			}
			if m := sent[0]; m.To != message.Phone || m.From != "+15005550006" || m.Service != "" || m.Body != "Your code for web1: 471147" {
				t.Errorf("%+v", m)
			}
			if agent := sent[0].Header.Get("User-Agent"); agent != "otpgate" {
				t.Errorf("found the user agent %q", agent)
			}
		})
	}
}

func TestTwilioService(t *testing.T) {
	gateway := twiliotest.New()
	plain, _, _ := serve(t, gateway)
	const service = "MG0123456789abcdef0123456789abcdef"
	s, _ := newSender(t, strings.Replace(twilio(t, plain, ""), "+15005550006", service, 1))
	if _, err := s.Send(context.Background(), message); err != nil {
		t.Fatal(err)
	}
	if m := gateway.Messages()[0]; m.Service != service || m.From != "" {
		t.Errorf("%+v", m)
	}
}

// Whatever the gateway says that is not yes is an error which says what it
// said; only 429 and 503 with a short Retry-After are tried again.
func TestTwilioRefuses(t *testing.T) {
	for _, test := range []struct {
		name     string
		answers  []twiliotest.Answer
		requests int
		pauses   []time.Duration
		err      string // "" if it is sent in the end
	}{
		{"number", []twiliotest.Answer{twiliotest.InvalidTo}, 1, nil,
			"HTTP status 400, Twilio's error 21211: The 'To' number +49…567 is not a valid phone number."},
		{"unverified", []twiliotest.Answer{twiliotest.Error(400, 21608, "unverified")}, 1, nil, "HTTP status 400, Twilio's error 21608: unverified"},
		{"unauthorized", []twiliotest.Answer{twiliotest.Error(401, 20003, "Authenticate")}, 1, nil, "HTTP status 401, Twilio's error 20003: Authenticate"},
		{"too many", []twiliotest.Answer{twiliotest.TooMany(2 * time.Second)}, 2, []time.Duration{2 * time.Second}, ""},
		{"too many at once", []twiliotest.Answer{twiliotest.TooMany(0)}, 2, []time.Duration{shortPause}, ""},
		{"too many for long", []twiliotest.Answer{twiliotest.TooMany(6 * time.Second)}, 1, nil, "HTTP status 429, Twilio's error 20429: Too Many Requests"},
		{"too many for ever", slices.Repeat([]twiliotest.Answer{twiliotest.TooMany(time.Second)}, 9), 3, []time.Duration{time.Second, time.Second}, "HTTP status 429"},
		{"too many, no time said", []twiliotest.Answer{twiliotest.Error(429, 20429, "Too Many Requests")}, 1, nil, "HTTP status 429"},
		{"broken", []twiliotest.Answer{twiliotest.Error(500, 20500, "Internal Server Error")}, 1, nil, "HTTP status 500, Twilio's error 20500"},
		{"down", []twiliotest.Answer{twiliotest.Raw(503, "text/html", "<html>\r\n<b>Down</b>\x1b[2J471147</html>")}, 1, nil,
			"HTTP status 503: <html>  <b>Down</b>?[2J…</html>"},
		{"empty", []twiliotest.Answer{twiliotest.Raw(500, "text/plain", "")}, 1, nil, "HTTP status 500"},
		{"another success", []twiliotest.Answer{twiliotest.Raw(200, "text/html", "<html>Log in to the WLAN</html>")}, 1, nil, "HTTP status 200: <html>Log in"},
		{"not JSON", []twiliotest.Answer{twiliotest.Raw(201, "text/html", "<html>")}, 1, nil, "HTTP status 201: <html>"},
		{"no sid", []twiliotest.Answer{twiliotest.Raw(201, "application/json", `{"status": "queued"}`)}, 1, nil, "HTTP status 201: {"},
		{"truncated", []twiliotest.Answer{twiliotest.Truncated}, 1, nil, "HTTP status 201, broke off, and it may have taken the message"},
		{"hung up", []twiliotest.Answer{twiliotest.Hangup}, 1, nil, "gave no answer, and may have taken the message"},
		{"long", []twiliotest.Answer{twiliotest.Raw(400, "text/plain", strings.Repeat("long ", 1<<20))}, 1, nil, "HTTP status 400: long long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			gateway := twiliotest.New()
			plain, _, _ := serve(t, gateway)
			gateway.Next(test.answers...)
			s, pauses := newSender(t, twilio(t, plain, ""))
			m := message
			m.Email = ""
			_, err := s.Send(context.Background(), m)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("found  %v\nwanted %s", err, test.err)
			}
			if gateway.Requests() != test.requests || !slices.Equal(*pauses, test.pauses) {
				t.Errorf("expected %d requests, pauses %v, found %d, %v", test.requests, test.pauses, gateway.Requests(), *pauses)
			}
			if err != nil {
				clean(t, err.Error())
				t.Log(err)
			}
		})
	}
}

// overAt is a context whose deadline passes when it is told so.
type overAt struct {
	context.Context
	over chan struct{}
}

func (c overAt) Done() <-chan struct{} { return c.over }

func (c overAt) Err() error {
	select {
	case <-c.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// A gateway that does not answer may have taken the message: no second one. The
// time is over once it has been asked.
func TestSlowGateway(t *testing.T) {
	gateway := twiliotest.New()
	plain, _, _ := serve(t, gateway)
	late := overAt{context.Background(), make(chan struct{})}
	gateway.Next(func(_ http.ResponseWriter, r *http.Request, _ twiliotest.Message) bool {
		close(late.over)
		<-r.Context().Done()
		return true
	})
	s, pauses := newSender(t, twilio(t, plain, "timeout = '1m'\n"))
	m := message
	m.Email = ""
	_, err := s.Send(late, m)
	if err == nil || !strings.Contains(err.Error(), "may have taken the message") || !strings.Contains(err.Error(), "not done in time") {
		t.Errorf("found %v", err)
	}
	if gateway.Requests() != 1 || len(*pauses) > 0 {
		t.Errorf("found %d requests, pauses %v", gateway.Requests(), *pauses)
	}
}

// Where no connection can be made nothing was sent, so it is tried again.
func TestUnreachableGateway(t *testing.T) {
	gateway := twiliotest.New()
	address := testaddress.Kept(t, "127.0.0.1")
	s, _ := newSender(t, twilio(t, "http://"+address, ""))
	tries := 0
	s.pause = func(context.Context, time.Duration) error {
		if tries++; tries == 2 { // by the third try it is there
			late, err := net.Listen("tcp", address)
			if err != nil {
				return err
			}
			server := &httptest.Server{Listener: late, Config: &http.Server{Handler: gateway}}
			server.Start()
			t.Cleanup(server.Close)
		}
		return nil
	}
	if _, err := s.Send(context.Background(), message); err != nil || tries != 2 || gateway.Requests() != 1 {
		t.Errorf("after %d pauses and %d requests: %v", tries, gateway.Requests(), err)
	}
	// And where nothing ever listens, three tries are all.
	s, pauses := newSender(t, twilio(t, "http://127.0.0.1:1", ""))
	m := message
	m.Email = ""
	_, err := s.Send(context.Background(), m)
	if err == nil || !strings.Contains(err.Error(), "the gateway cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused") || len(*pauses) != 2 {
		t.Errorf("after %d pauses: %v", len(*pauses), err)
	}
	// There is no time for another try.
	s, pauses = newSender(t, twilio(t, "http://127.0.0.1:1", "timeout = '1s'\n"))
	ctx, cancel := context.WithTimeout(context.Background(), shortPause)
	defer cancel()
	if _, err := s.Send(ctx, m); err == nil || len(*pauses) != 0 {
		t.Errorf("after %d pauses: %v", len(*pauses), err)
	}
}

// A certificate of nobody known is refused before anything is sent, and once.
func TestUntrustedGateway(t *testing.T) {
	gateway := twiliotest.New()
	_, secured, _ := serve(t, gateway)
	s, pauses := newSender(t, twilio(t, secured, ""))
	m := message
	m.Email = ""
	_, err := s.Send(context.Background(), m)
	if err == nil || !strings.Contains(err.Error(), "cannot be reached: tls: failed to verify certificate") || gateway.Requests() != 0 || len(*pauses) != 0 {
		t.Errorf("%d requests, %d pauses, %v", gateway.Requests(), len(*pauses), err)
	}
}

// A redirection would take the password and the code elsewhere.
func TestRedirection(t *testing.T) {
	elsewhere := twiliotest.New()
	there, _, _ := serve(t, elsewhere)
	for _, status := range []int{301, 302, 303, 307, 308} {
		here, _, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, there+r.URL.Path, status)
		}))
		s, _ := newSender(t, twilio(t, here, ""))
		m := message
		m.Email = ""
		if _, err := s.Send(context.Background(), m); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("HTTP status %d", status)) {
			t.Errorf("%d: %v", status, err)
		}
	}
	if elsewhere.Requests() != 0 {
		t.Errorf("%d redirections were followed", elsewhere.Requests())
	}
}

// What the environment says of proxies is for others.
func TestEnvironmentProxy(t *testing.T) {
	gateway := twiliotest.New()
	plain, secured, ca := serve(t, gateway)
	for _, name := range []string{"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	for _, config := range []string{twilio(t, plain, ""), twilio(t, secured, "ca_file = '"+ca+"'\n")} {
		s, _ := newSender(t, config)
		if _, err := s.Send(context.Background(), message); err != nil {
			t.Error(err)
		}
	}
}

// request is what a gateway of any other kind was asked.
type request struct {
	method, url, body string
	header            http.Header
}

// recorder keeps requests and gives the answer.
type recorder struct {
	mu   sync.Mutex
	seen []request
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, asked *http.Request) {
	body, _ := io.ReadAll(asked.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, request{asked.Method, asked.RequestURI, string(body), asked.Header})
	_, _ = io.WriteString(w, "OK 17\r\n")
}

// Gateways of every kind, with values that would break out of their places.
func TestOtherGateways(t *testing.T) {
	secret := file(t, `p&s"<s{otp_to}`)
	for _, test := range []struct {
		name, config string
		method, url  string
		body         string
		header       map[string]string
	}{
		{"GET", "url = 'BASE/send/{otp_to}?key={otp_password}&text=Code%20{otp_token}&from={otp_from}'\nmethod = 'GET'\nfrom = 'A&B#'\n",
			"GET", "/send/%2B491511234567?key=p%26s%22%3Cs%7Botp_to%7D&text=Code%20471%2611%224%5C7%3C&from=A%26B%23", "", map[string]string{"Authorization": "", "Content-Type": ""}},
		{"form", "url = 'BASE/'\nbody = 'to={otp_to}&text=Your+code:+{otp_token}'\nusername = 'otp gate'\n",
			"POST", "/", "to=%2B491511234567&text=Your+code:+471%2611%224%5C7%3C",
			map[string]string{"Authorization": "Basic b3RwIGdhdGU6cCZzIjxze290cF90b30=", "Content-Type": "application/x-www-form-urlencoded"}},
		{"JSON", "url = 'BASE/'\nbody = '{\"to\": [\"{otp_to}\"], \"n\": {}, \"text\": \"{otp_token}\"}'\n" +
			"headers = { Content-Type = 'application/json; charset=utf-8', Authorization = 'Bearer {otp_password}', X-Host = '{otp_host}/{otp_service}' }\n",
			"POST", "/", `{"to": ["+491511234567"], "n": {}, "text": "471\u002611\"4\\7\u003c"}`,
			map[string]string{"Authorization": `Bearer p&s"<s{otp_to}`, "Content-Type": "application/json; charset=utf-8", "X-Host": "web1/sshd"}},
		{"XML", "url = 'BASE/'\nmethod = 'PUT'\nbody = '<sms to=\"{otp_to}\" key=\"{otp_password}\">{otp_token}</sms>'\nheaders = { content-type = 'text/xml' }\n",
			"PUT", "/", `<sms to="+491511234567" key="p&amp;s&#34;&lt;s{otp_to}">471&amp;11&#34;4\7&lt;</sms>`, map[string]string{"Content-Type": "text/xml"}},
		{"text", "url = 'BASE/'\nbody = '''{otp_to}\n{otp_token} {otp_password}'''\nheaders = { Content-Type = 'text/plain' }\n",
			"POST", "/", "+491511234567\n471&11\"4\\7< p&s\"<s{otp_to}", map[string]string{"Content-Type": "text/plain"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			gateway := &recorder{}
			plain, _, _ := serve(t, gateway)
			s, _ := newSender(t, "[sms]\nsuccess = { pattern = 'OK*' }\npassword_file = '"+secret+"'\n"+strings.ReplaceAll(test.config, "BASE", plain))
			m := message
			m.Code = `471&11"4\7<`
			if _, err := s.Send(context.Background(), m); err != nil {
				t.Fatal(err)
			}
			if len(gateway.seen) != 1 {
				t.Fatalf("found %+v", gateway.seen)
			}
			got := gateway.seen[0]
			if got.method != test.method || got.url != test.url || got.body != test.body {
				t.Errorf("found  %s %s\n%s\nwanted %s %s\n%s", got.method, got.url, got.body, test.method, test.url, test.body)
			}
			for name, want := range test.header {
				if values := strings.Join(got.header[http.CanonicalHeaderKey(name)], "|"); values != want {
					t.Errorf("%s: expected %q, found %q", name, want, values)
				}
			}
		})
	}
}

// A value that cannot be written where it belongs is not sent.
func TestHostileValues(t *testing.T) {
	gateway := &recorder{}
	plain, _, _ := serve(t, gateway)
	s, _ := newSender(t, "[sms]\nurl = '"+plain+"/{otp_to}/{otp_token}'\nheaders = { X = '{otp_host}', Y = '{otp_service}' }\n")
	m := message
	m.Email, m.Host, m.Service = "", "web1\r\nZ: 1", "sshd\x00"
	if _, err := s.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	if h := gateway.seen[0].header; h.Get("X") != "web1  Z: 1" || h.Get("Z") != "" || h.Get("Y") != "sshd?" {
		t.Errorf("found %q", h)
	}
	for _, change := range []func(m *deliver.Message){
		func(m *deliver.Message) { m.Host = "wéb" },
		func(m *deliver.Message) { m.Phone = "+49151\r\nX: 1" },
		func(m *deliver.Message) { m.Phone = "0151/123456" },
		func(m *deliver.Message) { m.Phone = "+4915112345678901" },
		func(m *deliver.Message) { m.Phone = "" },
		func(m *deliver.Message) { m.Code = "" },
		func(m *deliver.Message) { m.Code = "47 11" },
		func(m *deliver.Message) { m.Code = "47\n11" },
		func(m *deliver.Message) { m.Channel = "" },
	} {
		m := message
		m.Email = ""
		change(&m)
		if _, err := s.Send(context.Background(), m); err == nil {
			t.Errorf("sent %+v", m)
		}
	}
	if len(gateway.seen) != 1 {
		t.Errorf("found %d requests", len(gateway.seen))
	}
}

// A gateway may quote whatever it was given.
func TestGatewayQuotes(t *testing.T) {
	const secret = "s3cret&pass"
	plain, _, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		fmt.Fprintf(w, "cannot %s %s", r.RequestURI, r.URL.Query().Get("p"))
	}))
	s, _ := newSender(t, "[sms]\nmethod = 'GET'\npassword_file = '"+file(t, secret)+"'\nurl = '"+plain+"/{otp_to}?t={otp_token}&p={otp_password}'\n")
	m := message
	m.Email, m.Code = "", "ab#cd"
	_, err := s.Send(context.Background(), m)
	if err == nil || !strings.Contains(err.Error(), "HTTP status 400: cannot /+49…567?t=…&p=… …") {
		t.Errorf("found %v", err)
	}
	for _, text := range []string{"s3cret", "ab#cd", "ab%23cd", "1511234567"} {
		if err != nil && strings.Contains(err.Error(), text) {
			t.Errorf("%v shows %s", err, text)
		}
	}
}

// TLS of before 1.2 is none.
func TestOldTLS(t *testing.T) {
	gateway := twiliotest.New()
	old := httptest.NewUnstartedServer(gateway)
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.Config.ErrorLog = quiet
	old.StartTLS()
	t.Cleanup(old.Close)
	s, _ := newSender(t, twilio(t, old.URL, "ca_file = '"+authority(t, old)+"'\n"))
	m := message
	m.Email = ""
	if _, err := s.Send(context.Background(), m); err == nil || !strings.Contains(err.Error(), "protocol version") || gateway.Requests() != 0 {
		t.Errorf("%d requests, %v", gateway.Requests(), err)
	}
}
