package portalwire

import (
	"errors"
	"fmt"
	"time"
)

// What can be asked for people who are enrolled.
const (
	// Request is a link that is mailed to whoever has a name. The answer is the same for
	// every name.
	AskLink Op = "ask-link"
	// OpenManage says what has become of such a link, for a GET.
	OpenManage Op = "open-manage"
	// Enter opens what is the person's, by a link and a code.
	Enter Op = "enter"
	// Show shows it.
	Show Op = "show"
	// Change changes it.
	Change Op = "change"
)

// Doing is what a Change does.
type Doing string

// The changes.
const (
	EndSession  Doing = "end-session"  // ID is the remembered login's
	EndSessions Doing = "end-sessions" // all
	AddDevice   Doing = "add-device"   // Name is the device's to be
	ShowDevice  Doing = "show-device"  // once more what AddDevice showed
	Confirmed   Doing = "confirm"      // First is the device's first code
	Rename      Doing = "rename"       // ID is the device, Name its new name
	Remove      Doing = "remove"       // ID is the device, Current a fresh code
	Recovery    Doing = "recovery"     // Current is a fresh code
	Report      Doing = "report"       // ID is the login's
	Leave       Doing = "leave"        // the browser session ends
)

// needs are the fields that each change has beside the browser session.
var needs = map[Doing]struct{ id, name, first, current bool }{
	EndSession: {id: true}, EndSessions: {}, AddDevice: {name: true}, ShowDevice: {}, Confirmed: {first: true},
	Rename: {id: true, name: true}, Remove: {id: true, current: true}, Recovery: {current: true}, Report: {id: true}, Leave: {},
}

// Manage is what a request has for people who are enrolled, beside the fields that it has
// for others.
type Manage struct {
	User string `json:"user,omitempty"`
	Do   Doing  `json:"do,omitempty"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// Managed is what is answered for people who are enrolled. One of its fields is set.
type Managed struct {
	Asked    bool      `json:"asked,omitempty"`
	Entered  *Entered  `json:"entered,omitempty"`
	Overview *Overview `json:"overview,omitempty"`
	Done     *Done     `json:"done,omitempty"`
}

// Entered is for the browser that gave link and code.
type Entered struct {
	BrowserSession string    `json:"visit"`
	Ends           time.Time `json:"ends"`
	Unseen         int       `json:"unseen"` // wrong codes that the person was not told of
}

// Overview is what is a person's.
type Overview struct {
	User         string    `json:"user"`
	Ends         time.Time `json:"ends"`
	Devices      []Device  `json:"devices"`
	RecoveryLeft int       `json:"recovery_left"`
	Sessions     []Session `json:"sessions"`
	// More is how many remembered logins are not shown.
	More   int     `json:"more,omitempty"`
	Logins []Login `json:"logins"`
}

// Device is one that counts. Removable is false for the last one of somebody who must
// have one.
type Device struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Confirmed time.Time `json:"confirmed"`
	Removable bool      `json:"removable"`
}

// Session is a remembered login.
type Session struct {
	ID       string    `json:"id"`
	Protocol string    `json:"protocol"`
	Address  string    `json:"address"`
	Host     string    `json:"host,omitempty"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
}

// Login is one of the last logins.
type Login struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Service string    `json:"service,omitempty"`
	Host    string    `json:"host,omitempty"`
	Address string    `json:"address,omitempty"`
	Peer    string    `json:"peer,omitempty"`
	Rule    string    `json:"rule"`
	Denied  bool      `json:"denied,omitempty"`
}

// Done is what became of a change. RecoveryCodes can be shown this once.
type Done struct {
	Do            Doing    `json:"do"`
	RecoveryCodes []string `json:"recovery_codes,omitempty"`
}

// Format implements fmt.Formatter for every verb, so that no log gets a browser session.
func (e Entered) Format(state fmt.State, _ rune) {
	fmt.Fprintf(state, "a browser session until %v", e.Ends)
}

// Format implements fmt.Formatter in the same way.
func (d Done) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "%q done", string(d.Do)) }

// Valid says whether the verifier takes a request.
func (r Request) Valid() bool { return r.check() == nil }

// Format implements fmt.Formatter in the same way.
func (m Managed) Format(state fmt.State, _ rune) {
	fmt.Fprint(state, "an answer for somebody enrolled")
}

var errFields = errors.New("the fields are not those that it needs")

// checkManage says whether a request has what its op needs for people who are enrolled, and
// nothing else. known is false for the other ops.
func (r Request) checkManage() (known bool, err error) {
	link, session := r.Link != "", r.BrowserSession != ""
	none := Manage{}
	var fits bool
	switch r.Op {
	case AskLink:
		fits = r.Manage == Manage{User: r.Manage.User} && r.Manage.User != "" && !link && !session && r.First == "" && r.Current == ""
	case OpenManage:
		fits = r.Manage == none && link && !session && r.First == "" && r.Current == ""
	case Enter:
		fits = r.Manage == none && link && !session && r.First == ""
	case Show:
		fits = r.Manage == none && !link && session && r.First == "" && r.Current == ""
	case Change:
		need, known := needs[r.Manage.Do]
		m := r.Manage
		fits = known && !link && session && m.User == "" && (need.id || m.ID == "") && (need.name || m.Name == "") &&
			(need.first || r.First == "") && (need.current || r.Current == "")
	default:
		return false, nil
	}
	if !fits {
		return true, fmt.Errorf("op %q: %w", string(r.Op), errFields)
	}
	return true, nil
}

// set is how many of the fields are set.
func (m *Managed) set() (n int) {
	if m == nil {
		return 0
	}
	for _, ok := range []bool{m.Asked, m.Entered != nil, m.Overview != nil, m.Done != nil} {
		if ok {
			n++
		}
	}
	return n
}
