// Package twiliotest stands in for Twilio's Messages resource in tests.
//
// The entry point is [New]. It takes a request exactly as Twilio's API
// description has it and refuses all others as Twilio does, keeps the messages
// that it took, and can be told to answer as Twilio and the networks before it
// do on bad days.
package twiliotest

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// SID and Token are an account's.
const (
	SID   = "AC0123456789abcdef0123456789abcdef"
	Token = "token-of-the-account"
)

// Gateway is the stand-in, an http.Handler.
type Gateway struct {
	mu       sync.Mutex
	script   []Answer
	messages []Message
	requests int
}

// Message is what a request asked to send.
type Message struct {
	To, From, Service, Body string
	Header                  http.Header
}

// Answer answers one request that is as it should be. It says whether the
// message was taken.
type Answer func(w http.ResponseWriter, r *http.Request, message Message) (taken bool)

// New returns a gateway that takes every message.
func New() *Gateway { return &Gateway{} }

// Next sets how the next requests are answered, one by each. After them every
// message is taken.
func (g *Gateway) Next(answers ...Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.script = answers
}

// Messages are those that were taken.
func (g *Gateway) Messages() []Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Message{}, g.messages...)
}

// Requests is how many there were, whatever became of them.
func (g *Gateway) Requests() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests
}

// Clear forgets what there was.
func (g *Gateway) Clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.script, g.messages, g.requests = nil, nil, 0
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.requests++
	g.mu.Unlock()
	message, refuse := read(r)
	if refuse != nil {
		refuse(w, r, message)
		return
	}
	answer := g.answer()
	// Slow answers must not hold the lock.
	if answer(w, r, message) {
		g.mu.Lock()
		g.messages = append(g.messages, message)
		g.mu.Unlock()
	}
}

func (g *Gateway) answer() Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.script) == 0 {
		return Accept
	}
	next := g.script[0]
	g.script = g.script[1:]
	return next
}

// number is E.164.
var number = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// read takes a request apart, or says how Twilio refuses it.
func read(r *http.Request) (Message, Answer) {
	if r.URL.Path != "/2010-04-01/Accounts/"+SID+"/Messages.json" || r.URL.RawQuery != "" {
		return Message{}, Error(404, 20404, "The requested resource "+r.URL.Path+" was not found")
	}
	if name, token, found := r.BasicAuth(); !found || name != SID || token != Token {
		return Message{}, Error(401, 20003, "Authenticate")
	}
	if r.Method != http.MethodPost {
		return Message{}, Error(405, 20004, "Method not allowed")
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return Message{}, Error(415, 20415, "Unsupported media type")
	}
	if err := r.ParseForm(); err != nil {
		return Message{}, Error(400, 20001, "Invalid form")
	}
	message := Message{
		To: r.PostForm.Get("To"), From: r.PostForm.Get("From"), Service: r.PostForm.Get("MessagingServiceSid"),
		Body: r.PostForm.Get("Body"), Header: r.Header.Clone(),
	}
	return message, wrong(message, r.PostForm)
}

func wrong(message Message, form url.Values) Answer {
	for name, values := range form {
		if len(values) != 1 || !strings.Contains(" To From MessagingServiceSid Body ", " "+name+" ") {
			return Error(400, 20001, "Unexpected parameter "+name)
		}
	}
	switch {
	case message.To == "":
		return Error(400, 21604, "A 'To' phone number is required.")
	case !number.MatchString(message.To):
		return Error(400, 21211, "The 'To' number "+message.To+" is not a valid phone number.")
	case (message.From == "") == (message.Service == ""):
		return Error(400, 21603, "A 'From' phone number or a 'MessagingServiceSid' is required.")
	case message.From != "" && !number.MatchString(message.From):
		return Error(400, 21212, "The 'From' number "+message.From+" is not a valid phone number.")
	case message.Body == "":
		return Error(400, 21602, "Message body is required.")
	case len(message.Body) > 1600:
		return Error(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
	}
	return nil
}

// Accept takes the message.
func Accept(w http.ResponseWriter, _ *http.Request, message Message) bool {
	reply(w, 201, map[string]any{
		"sid": "SM0123456789abcdef0123456789abcdef", "account_sid": SID, "status": "queued", "to": message.To, "from": nilIfEmpty(message.From),
		"messaging_service_sid": nilIfEmpty(message.Service), "body": message.Body, "error_code": nil, "error_message": nil,
		"direction": "outbound-api", "num_segments": "1", "uri": "/2010-04-01/Accounts/" + SID + "/Messages/SM0123456789abcdef0123456789abcdef.json",
	})
	return true
}

func nilIfEmpty(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// Error refuses as Twilio does.
func Error(status, code int, text string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ Message) bool {
		reply(w, status, map[string]any{
			"code": code, "message": text, "more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code), "status": status,
		})
		return false
	}
}

func reply(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// InvalidTo says of a number that it is none, and quotes it.
func InvalidTo(w http.ResponseWriter, r *http.Request, message Message) bool {
	return Error(400, 21211, "The 'To' number "+message.To+" is not a valid phone number.")(w, r, message)
}

// TooMany asks to try again later.
func TooMany(after time.Duration) Answer {
	return func(w http.ResponseWriter, r *http.Request, message Message) bool {
		w.Header().Set("Retry-After", strconv.Itoa(int(after/time.Second)))
		return Error(429, 20429, "Too Many Requests")(w, r, message)
	}
}

// Raw answers with that status and text.
func Raw(status int, contentType, text string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ Message) bool {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
		return false
	}
}

// Slow takes the message and answers after that time, if the client waits.
func Slow(d time.Duration) Answer {
	return func(w http.ResponseWriter, r *http.Request, message Message) bool {
		select {
		case <-time.After(d):
			Accept(w, r, message)
		case <-r.Context().Done():
		}
		return true
	}
}

// Truncated takes the message, and its answer breaks off.
func Truncated(w http.ResponseWriter, _ *http.Request, _ Message) bool {
	w.Header().Set("Content-Length", "500")
	w.WriteHeader(201)
	_, _ = w.Write([]byte(`{"sid": "SM0123`))
	return true
}

// Hangup closes the connection without an answer.
func Hangup(http.ResponseWriter, *http.Request, Message) bool { panic(http.ErrAbortHandler) }
