package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/placeholder"
)

// gateway is [sms] with what its files hold.
type gateway struct {
	settings      *config.SMS
	url, body     placeholder.Template
	headers       map[string]placeholder.Template
	password      string
	proxyPassword string
	client        *http.Client
	pause         func(ctx context.Context, d time.Duration) error
}

const (
	// maxAnswer bounds what is read of a gateway's answer, in bytes.
	maxAnswer = 64 << 10
	// maxTries is how often a message is tried in all.
	maxTries = 3
	// maxPause is the longest Retry-After that is waited for.
	maxPause = 5 * time.Second
	// shortPause is between tries to connect.
	shortPause = 500 * time.Millisecond
)

func newGateway(settings *config.SMS) (*gateway, error) {
	g := &gateway{settings: settings, headers: map[string]placeholder.Template{}, pause: pause}
	var err error
	parse := func(key, text string) placeholder.Template {
		parsed, wrong := placeholder.Parse(text, config.SMSWords...)
		if wrong != nil && err == nil {
			err = fmt.Errorf("%s: %w", key, wrong)
		}
		return parsed
	}
	g.url, g.body = parse("url", settings.URL), parse("body", settings.Body)
	for name, value := range settings.Headers {
		g.headers[name] = parse("headers."+name, value)
	}
	if err != nil {
		return nil, err
	}
	if g.password, err = password("password_file", settings.PasswordFile); err != nil {
		return nil, err
	}
	if g.proxyPassword, err = password("proxy_password_file", settings.ProxyPasswordFile); err != nil {
		return nil, err
	}
	g.client, err = g.newClient()
	return g, err
}

// newClient makes a client that does what the configuration says and nothing
// that the environment does. Each message has a connection of its own, so that
// it is known whether a gateway can have seen it.
func (g *gateway) newClient() (*http.Client, error) {
	trust, err := tlsConfig("", g.settings.CAFile)
	if err != nil {
		return nil, err
	}
	var proxy func(*http.Request) (*url.URL, error)
	if g.settings.Proxy != "" {
		at, err := url.Parse(g.settings.Proxy)
		if err != nil {
			return nil, errors.New("proxy: expected \"http://host:port\"")
		}
		if g.settings.ProxyUsername != "" {
			at.User = url.UserPassword(g.settings.ProxyUsername, g.proxyPassword)
		}
		proxy = http.ProxyURL(at)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true) // HTTP/2 has tries of its own
	return &http.Client{
		// Another place would get the password and the code.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: proxy, TLSClientConfig: trust, Protocols: &protocols,
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxAnswer,
		},
	}, nil
}

func (g *gateway) secrets(message deliver.Message) secrets {
	var s secrets
	s.keep(message.Code, "…")
	s.keep(g.password, "…")
	s.keep(g.proxyPassword, "…")
	s.keep(message.Phone, deliver.MaskPhone(message.Phone))
	s.keep(strings.TrimPrefix(message.Phone, "+"), deliver.MaskPhone(message.Phone))
	s.keep(message.Email, deliver.MaskEmail(message.Email))
	return s
}

// send tries until the gateway has the message, may have it, or does not want
// it. It is tried again only where it was not sent, or where the gateway asks
// for that and says when.
func (g *gateway) send(ctx context.Context, message deliver.Message) error {
	for try := 1; ; try++ {
		again, err := g.try(ctx, message)
		if err == nil || again == 0 || try == maxTries || !fits(ctx, again) {
			return err
		}
		if g.pause(ctx, again) != nil {
			return err
		}
	}
}

// fits says whether there is time left after a pause.
func fits(ctx context.Context, d time.Duration) bool {
	deadline, bounded := ctx.Deadline()
	return !bounded || time.Until(deadline) > d
}

// try sends one request. again is the pause before another try is right, 0 for
// never.
func (g *gateway) try(ctx context.Context, message deliver.Message) (again time.Duration, err error) {
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	request, err := g.request(traced, message)
	if err != nil {
		return 0, err
	}
	response, err := g.client.Do(request)
	if err != nil {
		if connected.Load() {
			return 0, fmt.Errorf("the gateway gave no answer, and may have taken the message: %w", bare(err))
		}
		return onceMore(err), fmt.Errorf("the gateway cannot be reached: %w", unreachable(bare(err)))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, fmt.Errorf("the gateway's answer, HTTP status %d, broke off, and it may have taken the message: %w", response.StatusCode, bare(err))
	}
	if g.settings.Success.Match(response.StatusCode, string(body)) {
		return 0, nil
	}
	return retryAfter(response), g.refusal(response.StatusCode, body, message)
}

// onceMore is the pause after an error to connect. A certificate that is wrong
// stays so.
func onceMore(err error) time.Duration {
	if isCertificate(err) {
		return 0
	}
	return shortPause
}

// bare leaves out the URL, which the library puts into its errors: it may have
// the code in it.
func bare(err error) error {
	var where *url.Error
	if errors.As(err, &where) {
		return where.Err
	}
	return err
}

// retryAfter is the pause that a gateway asks for which is not ready, RFC 9110
// section 10.2.3.
func retryAfter(response *http.Response) time.Duration {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16)
	wait := max(time.Duration(seconds)*time.Second, shortPause)
	if err != nil || wait > maxPause {
		return 0
	}
	return wait
}
