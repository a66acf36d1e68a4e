package daemons

import (
	"path"
	"slices"
	"strings"
)

// loopback are how a daemon is told to listen for the machine itself alone.
var loopback = []string{"lo", "localhost", "127.0.0.1", "::1", "[::1]"}

// webShells are web pages with a terminal: of what program, their command line says.
func (e *exam) webShells() {
	for _, s := range e.started("ttyd", "gotty", "wetty", "shellinaboxd", "shellinabox") {
		inside := slices.Contains(loopback, s.option("-i", "--interface", "--address", "-a", "--host")) || s.has("--localhost-only", "-n")
		switch program := s.served(); {
		case program == "login" && !inside:
			e.withoutLine(s, s.program())
		case program == "login" || program == "ssh":
		case s.option("-c", "--credential") != "":
			e.pastPAM(s, s.By+" starts "+s.program()+", a terminal on a web page, with a password of its own for "+program+".",
				"Who has that password has the terminal, without a code.")
		default:
			e.pastPAM(s, s.By+" starts "+s.program()+", a terminal on a web page, which gives "+program+" to whoever comes.", anybodyRoot)
		}
	}
}

// served is what the terminal is given: login, ssh, or the name of another program.
func (s started) served() string {
	name := s.program()
	shellinabox := strings.HasPrefix(name, "shellinabox")
	for i, word := range s.Words[1:] {
		before := s.Words[i]
		switch base := path.Base(word); {
		case shellinabox && (before == "-s" || before == "--service"):
			kind := word[strings.Index(word, ":")+1:]
			switch {
			case strings.HasPrefix(kind, "LOGIN"):
				return "login"
			case strings.HasPrefix(kind, "SSH"):
				return "ssh"
			}
			return kind[strings.LastIndex(kind, ":")+1:]
		case shellinabox:
		case base == "login" || base == "ssh" || isShell(base):
			return base
		case strings.HasPrefix(word, "--ssh-host"):
			return "ssh"
		}
	}
	if shellinabox || name == "wetty" {
		return "login" // what they start without an argument
	}
	return "a program"
}
