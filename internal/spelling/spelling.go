// Package spelling finds what was meant by a name with a slip.
package spelling

import "slices"

// MaxTypos is how many typing errors a name may be away from the one that was meant.
const MaxTypos = 2

// Distance is how many letters must be put in, left out or changed to make b of
// a (Levenshtein).
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// Near is the name that a slip was most likely meant for, the first of those that
// are equally near. Of a name of three letters or fewer only one may be wrong, or
// all could be meant.
func Near(name string, names []string) (near string, found bool) {
	most := min(MaxTypos, len(name)/2)
	for _, candidate := range slices.Sorted(slices.Values(names)) {
		if d := Distance(name, candidate); d <= most && candidate != name {
			near, most, found = candidate, d-1, true
		}
	}
	return near, found
}
