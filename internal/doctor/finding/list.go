package finding

import (
	"cmp"
	"slices"
)

// Worst is the worst severity of these, and whether there is any. Those that are
// excused do not count.
func Worst(findings []Finding) (worst Severity, found bool) {
	worst = Note
	for _, f := range findings {
		if f.Excused == "" {
			worst, found = min(worst, f.Severity), true
		}
	}
	return worst, found
}

// Merge makes one finding of those that differ in the service alone, as happens
// where services include the same file, and sorts them.
func Merge(all []Finding) []Finding {
	var merged []Finding
	type same struct{ id, where, what string }
	known := make(map[same]int, len(all)) // there may be one for each of very many people
	for _, f := range all {
		key := same{f.ID, f.Where(), f.What}
		at, found := known[key]
		if !found {
			known[key] = len(merged)
			merged = append(merged, f)
			continue
		}
		merged[at].Services = append(merged[at].Services, f.Services...)
		slices.Sort(merged[at].Services)
		merged[at].Services = slices.Compact(merged[at].Services)
	}
	Sort(merged)
	return merged
}

// Sort puts the worst first and those that are excused last, and leaves the others
// in their order.
func Sort(findings []Finding) {
	excused := func(f Finding) int { return min(len(f.Excused), 1) }
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(excused(a), excused(b)), cmp.Compare(a.Severity, b.Severity))
	})
}
