package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/asking"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/secretfiles"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/gate"
)

// nobodyAsked finds services whose policy asks nobody.
func (e *exam) nobodyAsked(ctx context.Context) {
	var places []asking.Service
	for _, s := range e.stacks {
		if place, known := e.place(s); known {
			places = append(places, place)
		}
	}
	e.findings = append(e.findings, asking.Examine(ctx, &e.Machine, places)...)
}

// place is a service with the configuration that its line takes. It is not known
// where that is wrong: then everybody is denied, and there is a finding.
func (e *exam) place(s authstack.Stack) (place asking.Service, known bool) {
	place = asking.Service{Stack: s, File: e.configPath(), Settings: e.settings, People: e.enrolled}
	if len(s.Checks) > 0 {
		if named := s.Lines[s.Checks[len(s.Checks)-1]].Arg("config"); named != "" {
			settings, err := config.Load(e.Machine.Root + named)
			if err != nil {
				return place, false
			}
			place.File, place.Settings = e.Machine.Root+named, e.under(settings)
			place.Stack = authstack.Of(s.Stack, place.Settings)
			if gate.PlaceOf(place.Settings).Path != gate.PlaceOf(e.settings).Path {
				place.People = e.peopleOf(place.Settings)
			}
		}
	}
	place.Text, _ = target.Read("", place.File) // without it no line is named
	return place, true
}

// peopleOf are those who have enrolled in the directory of another configuration,
// which is looked at like that of the default one.
func (e *exam) peopleOf(settings config.Config) (people []asking.Person) {
	files := e.filesOf(settings)
	defer files.Close()
	if !e.usable(settings, files) {
		return nil
	}
	found := secretfiles.Read(files, settings, gate.PlaceOf(settings).Path)
	for _, bad := range found.Bad {
		e.badSecretFile(bad)
	}
	return found.Enrolled
}

// longGrace is more than a roll-out takes.
const longGrace = 366 * 24 * time.Hour

// grace finds one that ends so late that nobody has to enroll.
func (e *exam) grace() {
	policy := e.settings.Policy
	span, until := policy.Grace.For, policy.Grace.Until
	if len(policy.Require) == 0 || span <= longGrace && !until.After(e.Machine.Now().Add(longGrace)) {
		return
	}
	path := e.configPath()
	data, _ := target.Read("", path) // without it no line is named
	when := "lasts " + fmt.Sprint(int(span.Hours()/24)) + " days for each"
	if !until.IsZero() {
		when = "ends on " + until.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	e.add(finding.Finding{Severity: finding.Warning, ID: "grace-long", File: path, Line: finding.LineOf(data, "grace"),
		What:    "policy.grace " + when + ".",
		Follows: "Until then whoever is required and has not enrolled gets in with the password alone.",
		Fix:     "Name a day within the year: people enroll when it comes near. otpctl list --missing says who has not."})
}

// misspeltAll finds names that were meant to be "@all" in policy.require.
func (e *exam) misspeltAll(selector config.Selector, f finding.Finding) bool {
	name, group := string(selector), selector.Group() != ""
	if selector == config.All || !strings.EqualFold(strings.TrimPrefix(name, "@"), "all") {
		return false
	}
	lookup, what := e.Machine.UserKnown, "a user"
	if group {
		lookup, what = e.Machine.GroupKnown, "a group"
		name = selector.Group()
	}
	if found, err := lookup(name); err != nil || found {
		return false
	}
	f.ID, f.Severity = "all-misspelt", finding.Error
	f.What = `policy.require names "` + string(selector) + `", which is ` + what + ` of that name and not everybody.`
	f.Follows = "There is none, so nobody is required by it: who has not enrolled, and is not required otherwise, gets in with the password alone."
	if group {
		f.Severity = finding.Warning
		f.Follows = "There is none, and as long as it cannot be looked up it counts for everybody. Once there is one, it counts for its members alone."
	}
	f.Fix = `Write "@all", in small letters and with the @.`
	e.add(f)
	return true
}
