package rollout

import (
	"cmp"
	"fmt"
	"strings"
)

// Diff shows the change as patch(1) takes it. The files differ in a few lines.
func (e Edit) Diff() string {
	const around = 3
	before, after := split(e.Before), split(e.After)
	same := longest(before, after)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", cmp.Or(e.From, e.Path), e.Path)
	var marks []string
	var changed []bool
	i, j := 0, 0
	for _, pair := range append(same, [2]int{len(before), len(after)}) {
		for ; i < pair[0]; i++ {
			marks, changed = append(marks, "-"+before[i]), append(changed, true)
		}
		for ; j < pair[1]; j++ {
			marks, changed = append(marks, "+"+after[j]), append(changed, true)
		}
		if i < len(before) && j < len(after) {
			marks, changed = append(marks, " "+before[i]), append(changed, false)
		}
		i, j = i+1, j+1
	}
	hunks(&out, marks, changed, around)
	return out.String()
}

func split(text string) []string {
	lines := strings.Split(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// longest is the longest common subsequence, as pairs of indices.
func longest(a, b []string) (pairs [][2]int) {
	length := make([][]int, len(a)+1)
	for i := range length {
		length[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			length[i][j] = max(length[i+1][j], length[i][j+1])
			if a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// hunks writes the marked lines that are near a change.
func hunks(out *strings.Builder, marks []string, changed []bool, around int) {
	near := func(n int) bool {
		for m := max(0, n-around); m <= min(len(marks)-1, n+around); m++ {
			if changed[m] {
				return true
			}
		}
		return false
	}
	oldLine, newLine := 1, 1
	for n := 0; n < len(marks); {
		if !near(n) {
			n, oldLine, newLine = n+1, oldLine+1, newLine+1
			continue
		}
		end, olds, news := n, 0, 0
		for ; end < len(marks) && near(end); end++ {
			if marks[end][0] != '+' {
				olds++
			}
			if marks[end][0] != '-' {
				news++
			}
		}
		fmt.Fprintf(out, "@@ -%d,%d +%d,%d @@\n%s\n", oldLine, olds, newLine, news, strings.Join(marks[n:end], "\n"))
		n, oldLine, newLine = end, oldLine+olds, newLine+news
	}
}
