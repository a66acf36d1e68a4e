package sshd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/unit"
)

// login is one that sshd -T is asked about. The zero value is one that no line
// is likely to be about.
type login struct {
	user, host, addr, laddr, lport, rdomain string
	// such is how messages name it.
	such string
}

// spec is what -C takes. All is said, as sshd refuses to tell without what a Match
// asks for.
func (l login) spec() string {
	said := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	return fmt.Sprintf("user=%s,host=%s,addr=%s,laddr=%s,lport=%s,rdomain=%s", said(l.user, "nobody"), said(l.host, "host.example"),
		said(l.addr, "192.0.2.1"), said(l.laddr, "192.0.2.2"), said(l.lport, "22"), said(l.rdomain, "none"))
}

// mostLogins bounds how many are tried for a Match.
const mostLogins = 6

// matchWords takes the value of a Match line apart: "kind value" and "kind=value",
// up to a comment.
func matchWords(value string) (words []string) {
	for _, word := range unit.Split(strings.NewReplacer(" = ", "=", "= ", "=", " =", "=", `\`, `\\`).Replace(value)) {
		if strings.HasPrefix(word, "#") {
			break
		}
		words = append(words, word)
	}
	return words
}

// logins makes up some that a Match line is about, of each pattern one. Why says
// what could not be made up.
func (v view) logins(ctx context.Context, match setting) (logins []login, why string) {
	lists := map[string][]string{}
	for _, c := range match.criteria() {
		switch c.kind {
		case "all", "version": // the same for all logins
		case "user", "group", "host", "address", "localaddress", "localport", "rdomain":
			lists[c.kind] = append(lists[c.kind], c.value)
		case "invalid-user":
			return nil, "" // who does not exist does not get in
		default:
			return nil, "no login can be made up for the criterion " + c.kind
		}
	}
	samples, why := v.samples(ctx, lists)
	if why != "" {
		return nil, why
	}
	most := 1
	for _, values := range samples {
		most = min(mostLogins, max(most, len(values)))
	}
	for i := range most {
		at := func(kind string) string {
			if values := samples[kind]; len(values) > 0 {
				return values[i%len(values)]
			}
			return ""
		}
		l := login{user: at("user"), host: at("host"), addr: at("address"), laddr: at("localaddress"), lport: at("localport"), rdomain: at("rdomain")}
		if lists["group"] != nil {
			l.such = ", such as " + l.user
		}
		logins = append(logins, l)
	}
	return logins, ""
}

// samples are what lists of patterns match, by their kind.
func (v view) samples(ctx context.Context, lists map[string][]string) (samples map[string][]string, why string) {
	samples = map[string][]string{}
	for kind, all := range lists {
		switch {
		case kind == "group", kind == "user" && lists["group"] != nil:
			continue
		case kind == "localport":
			samples[kind] = all[:1]
		case strings.HasSuffix(kind, "address"):
			samples[kind] = addressesOf(all)
		default:
			samples[kind] = namesOf(all, kind == "host")
		}
		if len(samples[kind]) == 0 {
			return nil, fmt.Sprintf("nothing was found that %s %s matches", kind, strings.Join(all, " and "))
		}
	}
	if lists["group"] != nil {
		samples["user"], why = v.members(ctx, lists["group"], lists["user"])
	}
	return samples, why
}

// noMember is why groups have nobody to try.
const noMember = "the name service knows nobody whom it could be about, no member of "

// members are some of the people of groups, of each group one before others.
func (v view) members(ctx context.Context, groups, users []string) (found []string, why string) {
	about := func(group string) bool {
		return slices.ContainsFunc(groups, func(list string) bool { return matchesList(list, group) != notMatched })
	}
	members, err := v.Machine.Members(ctx, strings.Split(strings.Join(groups, ","), ","), about)
	if err != nil {
		return nil, "who is a member cannot be looked up: " + err.Error()
	}
	for _, member := range members {
		matches := func(list string) bool { return matchesList(list, member.Name) == matched }
		if !all(groups, func(list string) bool { return in(member.Groups, list) }) || !all(users, matches) {
			continue
		}
		known, err := v.Machine.UserKnown(member.Name)
		if err != nil {
			return nil, "who is a member cannot be looked up: " + err.Error()
		}
		if known {
			found = append(found, member.Name)
		}
		if len(found) == mostLogins {
			break
		}
	}
	if len(found) == 0 {
		return nil, noMember + strings.Join(groups, " ")
	}
	return found, ""
}

// in says whether one of somebody's groups is on a list, and none left out by it.
func in(groups []string, list string) bool {
	wanted := false
	for _, group := range groups {
		switch matchesList(list, group) {
		case leftOut:
			return false
		case matched:
			wanted = true
		}
	}
	return wanted
}

func all(lists []string, matches func(string) bool) bool {
	return !slices.ContainsFunc(lists, func(list string) bool { return !matches(list) })
}
