package portalanswer

import "github.com/otpgate/otpgate/internal/selfservice"

const (
	// mostOfOne is how much waits of one address, or about one person.
	mostOfOne = 32
	// mostOfAll is how much waits in all. Beyond it, those of whom most waits lose what
	// came last: whoever has few addresses takes no place from anybody.
	mostOfAll = 4096
)

// roundRobin is a queue in which those whose jobs wait take turns, each with its next one. The
// zero value is empty.
type roundRobin struct {
	order []string // whose turn it is
	of    map[string][]selfservice.Job
	count int
}

// add puts a job at the end of those of the same, and gives the one that has no place for
// it, which may be that job.
func (t *roundRobin) add(job selfservice.Job) (lost selfservice.Job, isLost bool) {
	own := len(t.of[job.Of])
	if own >= mostOfOne {
		return job, true
	}
	if t.count >= mostOfAll {
		longest := job.Of
		for of, jobs := range t.of {
			if len(jobs) > max(1, len(t.of[longest])) {
				longest = of
			}
		}
		if longest == job.Of {
			return job, true
		}
		jobs := t.of[longest]
		lost, isLost = jobs[len(jobs)-1], true
		t.of[longest] = jobs[:len(jobs)-1]
		t.count--
	}
	if t.of == nil {
		t.of = map[string][]selfservice.Job{}
	}
	if own == 0 {
		t.order = append(t.order, job.Of)
	}
	t.of[job.Of] = append(t.of[job.Of], job)
	t.count++
	return lost, isLost
}

// next takes the job whose turn it is.
func (t *roundRobin) next() (job selfservice.Job, found bool) {
	if len(t.order) == 0 {
		return job, false
	}
	of := t.order[0]
	t.order = t.order[1:]
	job, t.of[of] = t.of[of][0], t.of[of][1:]
	if len(t.of[of]) > 0 {
		t.order = append(t.order, of)
	} else {
		delete(t.of, of)
	}
	t.count--
	return job, true
}
