package main

import "testing"

func TestRoom(t *testing.T) {
	all := &room{most: [2]int{maxFiles + 5, maxDirs + 5}}
	one, other := all.forConnection(), all.forConnection()
	for _, dir := range []bool{false, true} {
		most := one.most[kindOf(dir)]
		for i := range most {
			if !one.take(dir) {
				t.Fatalf("directory %v: %d are open, expected room for %d", dir, i, most)
			}
		}
		if one.take(dir) {
			t.Errorf("directory %v: more than a connection's", dir)
		}
		for range 5 {
			if !other.take(dir) {
				t.Errorf("directory %v: no room for another connection", dir)
			}
		}
		if other.take(dir) {
			t.Errorf("directory %v: more than all", dir)
		}
		one.give(dir)
		if !other.take(dir) {
			t.Errorf("directory %v: no room after one was closed", dir)
		}
	}
}
