package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/placeholder"
)

// request fills in the templates, each value escaped for where it stands.
func (g *gateway) request(ctx context.Context, message deliver.Message) (*http.Request, error) {
	s := g.settings
	values := map[string]string{
		"otp_token": message.Code, "otp_to": message.Phone, "otp_from": s.From, "otp_username": s.Username, "otp_password": g.password,
		"otp_service": deliver.Clean(message.Service, maxValue), "otp_host": deliver.Clean(message.Host, maxValue),
	}
	address, err := fill(g.url, percent, values)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	var body string
	if s.Body != "" {
		if body, err = fill(g.body, escapers[s.Kind()], values); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, s.Method, address, strings.NewReader(body))
	if err != nil {
		return nil, errors.New("url: expected one that is right once it is filled in")
	}
	// Without it the library cannot send the body again by itself.
	request.GetBody = nil
	for name, template := range g.headers {
		value, err := fill(template, headerLine, values)
		if err != nil {
			return nil, fmt.Errorf("headers.%s: %w", name, err)
		}
		request.Header.Set(name, value)
	}
	if s.Body != "" {
		request.Header.Set("Content-Type", s.ContentType())
	}
	if request.Header.Get("User-Agent") == "" {
		request.Header.Set("User-Agent", "otpgate")
	}
	if s.Basic() {
		request.SetBasicAuth(s.Username, g.password)
	}
	return request, nil
}

func fill(template placeholder.Template, escaped escape, values map[string]string) (string, error) {
	var failed error
	text := template.Fill(func(word string) string {
		value, err := escaped(values[word])
		if err != nil && failed == nil {
			failed = fmt.Errorf("{%s}: %w", word, err)
		}
		return value
	})
	return text, failed
}

// refusal says what the gateway answered. Twilio's errors have a number that
// its documentation explains.
func (g *gateway) refusal(status int, body []byte, message deliver.Message) error {
	said := string(body)
	number := ""
	if g.settings.Preset == config.Twilio {
		var answer struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		}
		if json.Unmarshal(body, &answer) == nil && answer.Code != 0 {
			number, said = fmt.Sprintf(", Twilio's error %d", answer.Code), answer.Message
		}
	}
	secrets := g.secrets(message)
	if said = strings.TrimSpace(secrets.text(said)); said == "" {
		return fmt.Errorf("the gateway did not say that it took the message: HTTP status %d%s", status, number)
	}
	return fmt.Errorf("the gateway did not say that it took the message: HTTP status %d%s: %s", status, number, said)
}

func isCertificate(err error) bool {
	var invalid *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	return errors.As(err, &invalid) || errors.As(err, &unknown) || errors.As(err, &name)
}
