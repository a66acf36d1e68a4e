package portalanswer

import (
	"cmp"
	"slices"

	"github.com/otpgate/otpgate/internal/selfservice"
)

const (
	// mostOfOne is how much waits of one address, or about one person.
	mostOfOne = 32
	// mostOfAll is how much waits in all. Beyond it, those of whom most waits lose what
	// came last: whoever has few networks takes no place from anybody.
	mostOfAll = 4096
)

// roundRobin is a queue in which networks take turns, and in each the addresses there. A
// person is a network of its own. The zero value is empty.
type roundRobin struct {
	order []string // whose turn it is
	of    map[string]*network
	count int
}

// network has what waits of one, which is never nothing.
type network struct {
	order []string // whose turn it is
	of    map[string][]selfservice.Job
	count int
}

// add puts a job at the end of those of the same, and gives the one that has no place for
// it, which may be that job.
func (t *roundRobin) add(job selfservice.Job) (lost selfservice.Job, isLost bool) {
	name := cmp.Or(job.Network, job.Of)
	own := t.of[name]
	if own == nil {
		own = &network{of: map[string][]selfservice.Job{}}
	}
	if len(own.of[job.Of]) >= mostOfOne {
		return job, true
	}
	if t.count >= mostOfAll {
		if lost, isLost = t.makePlace(own, job); !isLost {
			return job, true
		}
	}
	if t.of == nil {
		t.of = map[string]*network{}
	}
	if t.of[name] == nil {
		t.of[name] = own
		t.order = append(t.order, name)
	}
	own.add(job)
	t.count++
	return lost, isLost
}

// makePlace takes out what came last of those of whom most waits, unless that would be of
// those who have no more than own, and job's address in it.
func (t *roundRobin) makePlace(own *network, job selfservice.Job) (lost selfservice.Job, found bool) {
	most := own
	for _, one := range t.of {
		if one.count > max(1, most.count) {
			most = one
		}
	}
	if most == own && own.count == len(own.order) {
		return lost, false // one of each
	}
	longest := most.longest()
	if most == own && len(own.of[longest]) <= max(1, len(own.of[job.Of])) {
		return lost, false
	}
	t.count--
	return most.drop(longest), true
}

func (n *network) add(job selfservice.Job) {
	if len(n.of[job.Of]) == 0 {
		n.order = append(n.order, job.Of)
	}
	n.of[job.Of] = append(n.of[job.Of], job)
	n.count++
}

// longest is of whom most waits, the last one of several.
func (n *network) longest() (of string) {
	for _, one := range n.order {
		if len(n.of[one]) >= len(n.of[of]) {
			of = one
		}
	}
	return of
}

// drop takes out the last job of somebody.
func (n *network) drop(of string) selfservice.Job {
	jobs := n.of[of]
	last := len(jobs) - 1
	n.of[of] = jobs[:last]
	if last == 0 {
		delete(n.of, of)
		n.order = slices.DeleteFunc(n.order, func(one string) bool { return one == of })
	}
	n.count--
	return jobs[last]
}

// next takes the job whose turn it is.
func (t *roundRobin) next() (job selfservice.Job, found bool) {
	if len(t.order) == 0 {
		return job, false
	}
	name := t.order[0]
	t.order = t.order[1:]
	job = t.of[name].next()
	if t.of[name].count > 0 {
		t.order = append(t.order, name)
	} else {
		delete(t.of, name)
	}
	t.count--
	return job, true
}

func (n *network) next() (job selfservice.Job) {
	of := n.order[0]
	n.order = n.order[1:]
	job, n.of[of] = n.of[of][0], n.of[of][1:]
	if len(n.of[of]) > 0 {
		n.order = append(n.order, of)
	} else {
		delete(n.of, of)
	}
	n.count--
	return job
}
