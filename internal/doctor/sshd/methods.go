package sshd

import (
	"slices"
	"strings"
)

// lists are the ways in: each all of whose methods must succeed. Without
// AuthenticationMethods every method that is on is one.
func (v view) lists() [][]string {
	var lists [][]string
	if methods := v.values["authenticationmethods"]; methods != "" && methods != "any" {
		for list := range strings.FieldsSeq(methods) {
			var all []string
			for method := range strings.SplitSeq(list, ",") {
				name, _, _ := strings.Cut(method, ":")
				all = append(all, name)
			}
			lists = append(lists, all)
		}
	} else {
		for _, method := range []string{"publickey", "password", "keyboard-interactive", "gssapi-with-mic", "hostbased"} {
			lists = append(lists, []string{method})
		}
	}
	return slices.DeleteFunc(lists, func(list []string) bool {
		return slices.ContainsFunc(list, func(method string) bool { return !v.offers(method) })
	})
}

func (v view) offers(method string) bool {
	keyword := map[string]string{"publickey": "pubkeyauthentication", "password": "passwordauthentication",
		"keyboard-interactive": "kbdinteractiveauthentication", "gssapi-with-mic": "gssapiauthentication", "hostbased": "hostbasedauthentication"}[method]
	return keyword == "" || v.on(keyword)
}
