package finding

import (
	"cmp"
	"slices"
)

// Worst is the worst severity of these, and whether there is any.
func Worst(findings []Finding) (worst Severity, found bool) {
	worst = Note
	for _, f := range findings {
		worst = min(worst, f.Severity)
	}
	return worst, len(findings) > 0
}

// Merge makes one finding of those that differ in the service alone, as happens
// where services include the same file, and sorts them.
func Merge(all []Finding) []Finding {
	var merged []Finding
	for _, f := range all {
		same := slices.IndexFunc(merged, func(m Finding) bool {
			return m.ID == f.ID && m.Where() == f.Where() && m.What == f.What
		})
		if same < 0 {
			merged = append(merged, f)
			continue
		}
		merged[same].Services = append(merged[same].Services, f.Services...)
		slices.Sort(merged[same].Services)
		merged[same].Services = slices.Compact(merged[same].Services)
	}
	Sort(merged)
	return merged
}

// Sort puts the worst first, and leaves the others in their order.
func Sort(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Severity, b.Severity) })
}
