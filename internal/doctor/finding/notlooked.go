package finding

// NotLookedAt is the finding about something that could not be looked at: nothing
// here says whether it is in order. It is a warning if somebody may get in without
// a code for it, and a note if the rest of the examination bears on it.
func NotLookedAt(severity Severity, what, why string) Finding {
	return Finding{Severity: severity, ID: "not-looked-at", What: "It was not looked at " + what + ": " + why + ".",
		Follows: "Nothing here says that it is in order."}
}
