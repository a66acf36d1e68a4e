package admin

import (
	"context"
	"errors"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/enrollment"
)

func TestPreparedTwiceIsAsBefore(t *testing.T) {
	p := newPlaceOnDisk(t)
	mail, app := prepared("mail"), prepared("app")
	p.enrollPrepared(t, mail)
	p.enrollPrepared(t, app)
	another := app
	another.Factor.Secret = newSecret("SHA1")
	made := another
	made.Made = true
	longer := made
	longer.Factor.Digits = 8
	elsewhere := mail
	elsewhere.Changes.Email = text("mallory@example.com")
	asked := app
	asked.Changes.Protocols = &[]config.Protocol{"ssh"}
	before := p.load(t)
	for name, test := range map[string]struct {
		what Prepared
		want error
	}{
		"address": {mail, ErrEnrolledSame}, "secret": {app, ErrEnrolledSame}, "made": {made, ErrEnrolledSame},
		"other secret": {another, enrollment.ErrAlreadyConfirmed}, "other digits": {longer, enrollment.ErrAlreadyConfirmed},
		"other address": {elsewhere, enrollment.ErrAlreadyConfirmed}, "other protocols": {asked, enrollment.ErrAlreadyConfirmed},
	} {
		if _, err := p.EnrollPrepared(context.Background(), test.what); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, expected %v", name, err, test.want)
		}
		if err := p.CheckPrepared(test.what); !errors.Is(err, test.want) {
			t.Errorf("%s checked: got %v, expected %v", name, err, test.want)
		}
	}
	if after := p.load(t); len(after.Factors) != len(before.Factors) || after.Email != before.Email || after.Protocols != nil {
		t.Errorf("something was changed: %+v", after)
	}
	app.Replace = true
	p.enrollPrepared(t, app)
}
