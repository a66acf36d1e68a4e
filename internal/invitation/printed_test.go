package invitation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/enrollment"
)

func TestPrintedShowsNothing(t *testing.T) {
	const secret = "hush"
	setup := Setup{BrowserSession: secret, URI: secret, Key: secret, ID: "phone"}
	enrolled := Enrolled{Confirmation: enrollment.Confirmation{RecoveryCodes: []string{secret}}}
	for _, value := range []any{
		setup, &setup, NewKeyError{setup}, &NewKeyError{setup}, Created{Link: secret}, Answer{BrowserSession: secret, First: secret, Current: secret},
		enrolled, &enrolled, []Enrolled{enrolled},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, secret) {
				t.Errorf("%s shows %s", verb, text)
			}
		}
	}
}
