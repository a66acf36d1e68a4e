package main

import "testing"

// TestAcceptFaults: that no connection can be taken is told, and counted as all
// faults are.
func TestAcceptFaults(t *testing.T) {
	b, records := recordingBroker(t, "")
	b.acceptFault("too many open files; connections wait")
	if len(*records) != 1 || (*records)[0].Reason != "too many open files; connections wait" {
		t.Errorf("written: %+v", *records)
	}
	if n := b.metrics.verdicts[[2]string{"fault", "accept"}]; n != 1 {
		t.Errorf("%d in the metrics, want 1", n)
	}
}
