package sshd

import (
	"context"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// decisive are the keywords that say how people get in.
var decisive = []string{"usepam", "kbdinteractiveauthentication", "passwordauthentication", "pubkeyauthentication",
	"authenticationmethods", "gssapiauthentication", "kerberosauthentication", "hostbasedauthentication", "permitemptypasswords",
	pamServiceName}

// matches are the Match lines under which a decisive keyword stands.
func (v view) matches() []setting {
	var found []setting
	for _, s := range v.settings {
		decides := slices.Contains(decisive, s.keyword) || s.keyword == permitRoot && v.RootEnrolled
		if s.match != nil && decides &&
			!slices.ContainsFunc(found, func(m setting) bool { return m.Position == s.match.Position }) {
			found = append(found, *s.match)
		}
	}
	return found
}

// underMatches looks at logins that Match lines are about. What is found for all
// logins is said once.
func (v view) underMatches(ctx context.Context) (found []finding.Finding) {
	global := v.examine()
	for _, match := range v.matches() {
		within := v
		within.match = &match
		logins, why := within.logins(ctx, match)
		var under []finding.Finding
		for _, l := range logins {
			text, err := v.ask(ctx, l.spec())
			if err != nil {
				why = "sshd does not say what is in force then: " + err.Error()
				continue
			}
			within.values = valuesOf(text)
			for _, f := range within.examine() {
				known := func(g finding.Finding) bool { return same(f, g) }
				if !slices.ContainsFunc(global, known) && !slices.ContainsFunc(under, known) {
					f.What = "For Match " + match.value + " (" + match.Position.String() + ")" + l.such + ": " + f.What
					under = append(under, f)
				}
			}
		}
		if found = append(found, under...); why != "" {
			found = append(found, within.untried(why))
		}
	}
	return found
}

// untried is about a Match of which no login could be made up, or not all.
func (v view) untried(why string) finding.Finding {
	f := finding.At(v.match.Position, finding.Finding{Severity: finding.Note, ID: "sshd-match-untried", Services: []string{v.service()},
		What:    "Match " + v.match.value + " was not tried: " + why + ".",
		Follows: "Whether the logins that it is about are asked for a code was not looked at.",
		Fix:     "sshd -T -C user=NAME,host=NAME,addr=ADDRESS,laddr=ADDRESS,lport=PORT as root says what is in force for one of them."})
	if strings.HasPrefix(why, noMember) {
		f.Follows = "Nobody comes under it, as long as that is so."
		f.Fix = "Run otpctl doctor again when there is somebody; or take the block out."
	}
	for _, c := range v.match.criteria() {
		if exceptions := strings.Split(c.value, ","); !slices.ContainsFunc(exceptions, func(p string) bool { return !strings.HasPrefix(p, "!") }) {
			f.Follows = "What stands under it holds for nobody."
			f.Fix = "Write: " + c.kind + " *," + c.value + "; or take the block out."
		}
	}
	return f
}

// criteria are what a Match line wants, with what the lines want within which it
// is read.
func (s setting) criteria() (all []criterion) {
	if s.match != nil {
		all = s.match.criteria()
	}
	words := matchWords(s.value)
	for i := 0; i < len(words); i++ {
		c := criterion{kind: strings.ToLower(words[i])}
		if kind, value, ok := strings.Cut(words[i], "="); ok {
			c.kind, c.value = strings.ToLower(kind), value
		} else if c.kind != "all" && c.kind != "invalid-user" && i+1 < len(words) {
			i++
			c.value = words[i]
		}
		all = append(all, c)
	}
	return all
}

// criterion is a kind and a list of patterns.
type criterion struct{ kind, value string }
