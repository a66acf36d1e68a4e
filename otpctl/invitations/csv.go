package invitations

import (
	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/otpctl/invocation"
	"github.com/otpgate/otpgate/otpctl/peoplefile"
)

// readCSV reads and checks the whole file.
func readCSV(a *invocation.App, path string) (people []wanted, err error) {
	r := peoplefile.Reader{Columns: []string{"user", "email", "id"}, Line: func(number int, cells map[string]string) (column string, err error) {
		person := wanted{line: number, user: cells["user"], email: cells["email"], id: cells["id"], further: cells["id"] != ""}
		if person.id == "" {
			person.id = "phone"
		}
		if person.email != "" {
			if err := account.CheckEmail(person.email); err != nil {
				return "email", err
			}
		}
		if err := account.CheckID(person.id); err != nil {
			return "id", err
		}
		people = append(people, person)
		return "", nil
	}}
	if err := r.ReadFile(a, "invite --csv", path, "nobody is invited"); err != nil {
		return nil, err
	}
	if len(people) == 0 {
		a.Sum("there is no line below the header")
	}
	return people, nil
}
