package ledger

import "time"

// Invitation is what is known of a link by which somebody may enroll. The link itself
// is known to nobody: it has the hash of it as its key.
type Invitation struct {
	User    string `json:"user"`
	Purpose string `json:"purpose"`
	// Factor is the id of the device that it is for, and Replace says that this takes
	// the place of one that counts.
	Factor  string `json:"factor"`
	Replace bool   `json:"replace,omitempty"`
	// Of names the enrollment that the person had when invited, as in [Session]; of a
	// link of somebody enrolled the address too, and the recovery codes.
	Of   string    `json:"of"`
	Made time.Time `json:"made"`
	Ends time.Time `json:"ends"`
	// Mailed is when the link was last mailed, or about to be; zero if it was handed over.
	Mailed time.Time `json:"mailed,omitzero"`
	// BrowserSession is the hash of what the browser has that opened the link last, until
	// BrowserSessionEnds. Key is the fingerprint of the secret that it was shown, and Wrong
	// counts the wrong codes since.
	BrowserSession     string    `json:"visit,omitempty"`
	BrowserSessionEnds time.Time `json:"visit_ends,omitzero"`
	Key                string    `json:"key,omitempty"`
	Wrong              int       `json:"wrong,omitempty"`
	// Opened is when it was first opened, Done when somebody enrolled by it. Then, or
	// once it was Cancelled, it is over.
	Opened    time.Time `json:"opened,omitzero"`
	Done      time.Time `json:"done,omitzero"`
	Cancelled time.Time `json:"cancelled,omitzero"`
}

// InvitationLink is a link of a person's, by its key's name.
type InvitationLink struct {
	Name string    `json:"name"`
	Ends time.Time `json:"ends"`
}

func (e *encoder) invitation(i Invitation) {
	e.texts(i.User, i.Purpose, i.Factor, i.Of, i.BrowserSession, i.Key)
	e.number(int64(i.Wrong))
	replace := int64(0)
	if i.Replace {
		replace = 1
	}
	e.number(replace)
	e.times(i.Made, i.Ends, i.BrowserSessionEnds, i.Opened, i.Done, i.Cancelled)
}

// invitations ends fields, unless there is nothing to say.
func (e *encoder) invitations(entry Entry) {
	if entry.Invitation != (Invitation{}) {
		e.invitation(entry.Invitation)
		e.end(tagInvitation)
	}
	if !entry.Invitation.Mailed.IsZero() {
		e.times(entry.Invitation.Mailed)
		e.end(tagMailed)
	}
	for _, link := range entry.Links {
		e.texts(link.Name)
		e.times(link.Ends)
		e.end(tagInvitationLink)
	}
}

func (d *decoder) invitation() Invitation {
	i := Invitation{User: d.text(), Purpose: d.text(), Factor: d.text(), Of: d.text(), BrowserSession: d.text(), Key: d.text(), Wrong: int(d.number())}
	switch d.number() {
	case 0:
	case 1:
		i.Replace = true
	default:
		d.bad = true
	}
	for _, t := range []*time.Time{&i.Made, &i.Ends, &i.BrowserSessionEnds, &i.Opened, &i.Done, &i.Cancelled} {
		*t = d.time()
	}
	return i
}

// LastEnd is when the last of an entry's links ends, the zero time if it has none.
func (e Entry) LastEnd() time.Time {
	last := e.Invitation.Ends
	for _, link := range e.Links {
		if link.Ends.After(last) {
			last = link.Ends
		}
	}
	return last
}
