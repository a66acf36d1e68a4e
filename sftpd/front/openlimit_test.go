package main

import "testing"

func TestOpenLimit(t *testing.T) {
	all := &openLimit{most: [2]int{maxFiles + 5, maxDirs + 5}}
	one, other := all.forConnection(), all.forConnection()
	for _, dir := range []bool{false, true} {
		most := one.most[kindOf(dir)]
		for i := range most {
			if !one.acquire(dir) {
				t.Fatalf("directory %v: %d are open, expected room for %d", dir, i, most)
			}
		}
		if one.acquire(dir) {
			t.Errorf("directory %v: more than a connection's", dir)
		}
		for range 5 {
			if !other.acquire(dir) {
				t.Errorf("directory %v: no room for another connection", dir)
			}
		}
		if other.acquire(dir) {
			t.Errorf("directory %v: more than all", dir)
		}
		one.release(dir)
		if !other.acquire(dir) {
			t.Errorf("directory %v: no room after one was closed", dir)
		}
	}
}
