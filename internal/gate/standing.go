package gate

import "github.com/otpgate/otpgate/internal/account"

// Standing is how somebody stands to the policy, whatever the login.
type Standing struct {
	// Required says that the policy requires a code of the person, and RequiredBy
	// which selector, or which doubt.
	Required   bool
	RequiredBy string
	// Person is what the secret file says that logins by this name find. Without
	// one it has the system's spelling of the name alone, and Found is false.
	Person account.Person
	Found  bool
}

// StandingOf says how somebody stands to the policy. Who is exempt is not required to
// give a code. It changes nothing.
func (g *Gate) StandingOf(user string) (Standing, error) {
	person, found, err := g.find(user)
	if err != nil {
		return Standing{}, err
	}
	s := Standing{Person: person, Found: found}
	if _, exempt := g.exempt(user); !exempt {
		s.RequiredBy, s.Required = g.required(user, person.User)
	}
	return s, nil
}
