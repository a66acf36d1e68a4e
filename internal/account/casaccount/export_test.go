package casaccount

// At has do called at each step of the move.
func (m *Move) At(do func(step string)) { m.at = do }
