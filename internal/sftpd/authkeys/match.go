// Package authkeys decides whether an authorized_keys file lets a key in.
//
// The entry points are [Find], which reads the lines as sshd(8) says under
// AUTHORIZED_KEYS FILE FORMAT, and [Open], which refuses files that sshd's
// StrictModes would. A line with an option that is not known here lets nobody
// in, and neither does one that ties its key to a command: what could be
// reached would be more than the line says. That the client has the key is proven in
// package authentication.
package authkeys

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Grant is what a line says of the key that it lets in.
type Grant struct {
	// NoTouch and Verify are about keys in hardware: that they need not be
	// touched, and that a PIN must have been given.
	NoTouch, Verify bool
}

// Login is the attempt that a line is asked about.
type Login struct {
	Key    []byte // as on the wire, RFC 4253 section 6.6
	Remote netip.Addr
	Now    time.Time
	// Authority is set for a key that signed a certificate: lines with
	// cert-authority are looked for, and no others.
	Authority bool
	// User is who logs in, and Principals are the certificate's. One of them
	// must be the user's name, or one that the line names.
	User       string
	Principals []string
}

// maxLine is above the longest key that sshd takes.
const maxLine = 16 << 10

// Find looks for a line that lets the login in.
func Find(file []byte, login Login) (Grant, bool) {
	for line := range bytes.Lines(file) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || len(line) > maxLine {
			continue
		}
		options, key, found := parse(string(line))
		if !found || !bytes.Equal(key, login.Key) {
			continue
		}
		if grant, ok := allows(options, login); ok {
			return grant, true
		}
	}
	return Grant{}, false
}

// parse divides a line into options and key. A line without options begins
// with the key's type, which is no option's name.
func parse(line string) (options string, key []byte, found bool) {
	if key, ok := ParseKey(line); ok {
		return "", key, true
	}
	end := optionsEnd(line)
	if end < 0 {
		return "", nil, false
	}
	key, ok := ParseKey(strings.TrimLeft(line[end:], " \t"))
	return line[:end], key, ok
}

// optionsEnd is where the first blank outside quotes is, or -1.
func optionsEnd(line string) int {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line) && line[i+1] == '"':
			i++
		case c == '"':
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			return i
		}
	}
	return -1
}

// ParseKey reads "type base64 comment" and looks that the two agree. The key is
// as on the wire.
func ParseKey(text string) ([]byte, bool) {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return nil, false
	}
	key, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil || len(key) < 4 {
		return nil, false
	}
	kind := fields[0]
	length := int(key[0])<<24 | int(key[1])<<16 | int(key[2])<<8 | int(key[3])
	return key, length == len(kind) && len(key) >= 4+length && string(key[4:4+length]) == kind
}

// harmless are options about what this server does not do, or asks for
// nothing here.
var harmless = map[string]bool{
	"restrict": true, "agent-forwarding": true, "port-forwarding": true, "pty": true, "user-rc": true, "x11-forwarding": true,
	"no-agent-forwarding": true, "no-port-forwarding": true, "no-pty": true, "no-user-rc": true, "no-x11-forwarding": true,
	"permitopen": true, "permitlisten": true, "tunnel": true, "environment": true,
}

func allows(options string, login Login) (Grant, bool) {
	var grant Grant
	authority := false
	var principals []string
	for options != "" {
		name, value, hasValue, rest, ok := nextOption(options)
		if !ok {
			return Grant{}, false
		}
		options = rest
		switch {
		case name == "cert-authority" && !hasValue:
			authority = true
		case name == "principals" && hasValue:
			principals = strings.Split(value, ",")
		case name == "no-touch-required" && !hasValue:
			grant.NoTouch = true
		case name == "verify-required" && !hasValue:
			grant.Verify = true
		case name == "from" && hasValue:
			if !fromMatches(value, login.Remote) {
				return Grant{}, false
			}
		case name == "expiry-time" && hasValue:
			if until, ok := parseExpiry(value); !ok || !login.Now.Before(until) {
				return Grant{}, false
			}
		case name == "command" && value == "internal-sftp":
		case !harmless[name]:
			return Grant{}, false
		}
	}
	if !authority {
		return grant, !login.Authority && principals == nil
	}
	if principals == nil {
		principals = []string{login.User}
	}
	return grant, login.Authority && slices.ContainsFunc(principals, func(name string) bool {
		return name != "" && slices.Contains(login.Principals, name)
	})
}

// nextOption takes one option off a list.
func nextOption(options string) (name, value string, hasValue bool, rest string, ok bool) {
	end := strings.IndexAny(options, ",=")
	if end < 0 {
		return strings.ToLower(options), "", false, "", options != ""
	}
	name = strings.ToLower(options[:end])
	if name == "" {
		return "", "", false, "", false
	}
	if options[end] == ',' {
		return name, "", false, options[end+1:], options[end+1:] != ""
	}
	value, rest, ok = unquote(options[end+1:])
	if ok && rest != "" {
		ok = rest[0] == ',' && len(rest) > 1
		rest = rest[1:]
	}
	return name, value, true, rest, ok
}

// unquote reads a value in quotes, in which \" is a quote.
func unquote(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", false
	}
	var plain strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '"':
			plain.WriteByte('"')
			i++
		case text[i] == '"':
			return plain.String(), text[i+1:], true
		default:
			plain.WriteByte(text[i])
		}
	}
	return "", "", false
}

// parseExpiry reads YYYYMMDD[HHMM[SS]], in the machine's time zone or, with a
// Z, in UTC.
func parseExpiry(text string) (time.Time, bool) {
	zone := time.Local
	if bare, utc := strings.CutSuffix(text, "Z"); utc {
		text, zone = bare, time.UTC
	}
	layout, found := map[int]string{8: "20060102", 12: "200601021504", 14: "20060102150405"}[len(text)]
	if !found {
		return time.Time{}, false
	}
	until, err := time.ParseInLocation(layout, text, zone)
	return until, err == nil
}
