package config

import (
	"path/filepath"
	"slices"
)

// Secrets says how the secrets in secret files are encrypted. Without keys they
// are not.
type Secrets struct {
	// Keys are the files of keys, up to 8, each made by otpctl secrets init. The
	// first encrypts, all decrypt. They must be readable by root alone, or by the
	// user whom the verifier runs as.
	Keys []string `toml:"keys"`
	// Required refuses secrets that are not encrypted, so that nobody without the
	// key can plant one.
	Required bool `toml:"required"`
}

// maxKeys bounds how many files are read for a secret whose key is not there.
const maxKeys = 8

func (s Secrets) check() (problem string, key []string) {
	for i, path := range s.Keys {
		switch {
		case !filepath.IsAbs(path):
			return "expected absolute paths", []string{"keys"}
		case slices.Contains(s.Keys[:i], path):
			return path + " is there twice", []string{"keys"}
		}
	}
	switch {
	case len(s.Keys) > maxKeys:
		return "expected up to 8 files", []string{"keys"}
	case s.Keys != nil && len(s.Keys) == 0:
		return "the list is empty; expected a file of a key, or no such line where secrets are not encrypted", []string{"keys"}
	case s.Required && len(s.Keys) == 0:
		return "expected keys too: without one no secret can be encrypted", []string{"required"}
	}
	return "", nil
}
