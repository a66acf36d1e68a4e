package asking

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Groups of very many people may be far away: as soon as one is known who is asked, no
// other one is looked up, at however many services.
func TestLooksUpAsFewAsItMust(t *testing.T) {
	lookups := map[string]int{}
	m := &target.Machine{Now: time.Now, Member: func(user, _ string) (bool, error) { lookups[user]++; return false, nil }}
	var people []Person
	for i := range 1000 {
		people = append(people, Person{Name: fmt.Sprintf("user%d", i)})
	}
	settings := config.Default()
	settings.Policy.Exempt = []config.Selector{"@robots"}
	var places []Service
	for _, name := range []string{"sshd", "sudo", "su"} {
		places = append(places, Service{Stack: authstack.Stack{Stack: pamstack.Stack{Service: name}, Lines: make([]pamstack.Line, 1), Checks: []int{0}}, File: "/etc/otpgate/otpgate.toml", Settings: settings, People: people})
	}
	if found := Examine(context.Background(), m, places); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	delete(lookups, "root") // who is looked at always
	if want := map[string]int{"user0": 1}; !maps.Equal(lookups, want) {
		t.Errorf("looked up %v, expected %v", lookups, want)
	}
}
