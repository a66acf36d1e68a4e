package target

import "github.com/otpgate/otpgate/internal/bounded"

// mostBytes is more than any file that is read here has: accounts of a million people.
const mostBytes = 256 << 20

// Read is what a regular file below root has. Nothing waits for a FIFO or reads an
// endless device.
func Read(root, path string) ([]byte, error) { return bounded.ReadFile(root+path, mostBytes) }
