package ledger

// SetFault has step called at each step of a write; an error fails that step.
func (f *Files) SetFault(step func(name string) error) { f.fault = step }
