package command

// showRecovery shows new recovery codes, if there are any.
func (a *app) showRecovery(codes []string) {
	if len(codes) == 0 {
		return
	}
	a.say("")
	a.say("Recovery codes. Each is good once, in the place of a code from the app. They are")
	a.say("shown this once: keep them on paper, apart from the phone.")
	a.say("")
	for _, code := range codes {
		a.say("  %s", code)
	}
}
