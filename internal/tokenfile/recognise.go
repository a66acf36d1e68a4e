package tokenfile

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Format is what a file is by its contents.
type Format struct {
	// Words say what it is, and Command which command of otpctl reads it, "" if
	// none does.
	Words, Command string
}

// The formats that are told from each other.
var (
	URIList         = Format{"a list of otpauth URIs", "import uri"}
	Container       = Format{"a PSKC key container", "import pskc"}
	AndOTPExport    = Format{"a plain backup of andOTP", "import andotp"}
	AegisExport     = Format{"an export of Aegis", "import aegis"}
	TwoFASExport    = Format{"a backup of 2FAS", "import 2fas"}
	TokenCSV        = Format{"a token list of privacyIDEA or LinOTP", "import privacyidea or import linotp"}
	PeopleCSV       = Format{"a file of people with named columns", "import csv"}
	GoogleFile      = Format{"a file of google-authenticator(1)", "import google-authenticator"}
	Usersfile       = Format{"a usersfile of pam_oath", "import oath"}
	AgeFile         = Format{"a file encrypted with age", "import backup"}
	GoogleMigration = Format{"an export of the app Google Authenticator", "import google-app"}
	PGPFile         = Format{"a file encrypted with OpenPGP; gpg -d decrypts it", ""}
	OtherXML        = Format{"XML that is no PSKC key container", ""}
	OtherJSON       = Format{"JSON that is no known export", ""}
)

func (f Format) String() string {
	if f.Command == "" {
		return f.Words
	}
	return f.Words + " (otpctl " + f.Command + ")"
}

// OtherFormatError says that a file is not of the format that was asked for.
type OtherFormatError struct{ Is, Expected Format }

func (o OtherFormatError) Error() string {
	if o.Is == (Format{}) {
		return "expected " + o.Expected.Words
	}
	return fmt.Sprintf("it looks like %s, expected %s", o.Is, o.Expected.Words)
}

// expect refuses data of another format than wanted.
func expect(data []byte, wanted Format) error {
	if format, found := Recognise(data); !found || format != wanted {
		return OtherFormatError{format, wanted}
	}
	return nil
}

// ExpectNone refuses data that is of one of the other formats for sure: what a
// reader with looser rules takes is left to it.
func ExpectNone(data []byte, wanted Format) error {
	if format, found := Recognise(data); found && format != wanted {
		return OtherFormatError{format, wanted}
	}
	return nil
}

// Recognise tells a format by what only that one has.
func Recognise(data []byte) (Format, bool) {
	data = bytes.TrimSpace(text(data))
	switch {
	case len(data) == 0:
		return Format{}, false
	case bytes.HasPrefix(data, []byte("age-encryption.org/")), bytes.HasPrefix(data, []byte("-----BEGIN AGE ENCRYPTED FILE-----")):
		return AgeFile, true
	case bytes.HasPrefix(data, []byte("-----BEGIN PGP")):
		return PGPFile, true
	case !utf8.Valid(data):
		return Format{}, false
	case data[0] == '<':
		return recogniseXML(data)
	case data[0] == '{' || data[0] == '[':
		return recogniseJSON(data)
	}
	return recogniseLines(string(data))
}

func recogniseXML(data []byte) (Format, bool) {
	root, err := rootOf(data)
	if err == nil && root.Local == "KeyContainer" {
		return Container, true
	}
	return OtherXML, true
}

func recogniseJSON(data []byte) (Format, bool) {
	if data[0] == '[' {
		var entries []struct{ Secret, Label, Type *string }
		if json.Unmarshal(data, &entries) != nil {
			return OtherJSON, json.Valid(data)
		}
		for _, e := range entries {
			if e.Secret == nil || e.Label == nil {
				return OtherJSON, true
			}
		}
		return AndOTPExport, true
	}
	var export map[string]json.RawMessage
	if json.Unmarshal(data, &export) != nil {
		return Format{}, false
	}
	has := func(key string) bool { return export[key] != nil }
	switch {
	case has("db") && has("header"):
		return AegisExport, true
	case (has("services") || has("servicesEncrypted")) && has("schemaVersion"):
		return TwoFASExport, true
	}
	return OtherJSON, true
}

// recogniseLines goes by the first line that is no comment.
func recogniseLines(data string) (Format, bool) {
	first, second := "", ""
	for line := range strings.Lines(data) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case first == "":
			first = line
		case second == "":
			second = line
		}
		if second != "" {
			break
		}
	}
	if len(first) > maxLine {
		return Format{}, false
	}
	fields, cells := strings.Fields(first), strings.Split(first, ",")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	switch {
	case len(fields) == 0:
		return Format{}, false
	case strings.Contains(first, migrationScheme):
		return GoogleMigration, true
	case strings.Contains(first, scheme):
		return URIList, true
	case strings.HasPrefix(second, `" `):
		return GoogleFile, true
	case len(fields) > 3 && strings.HasPrefix(fields[0], "HOTP") && !strings.Contains(fields[0], ","):
		return Usersfile, true
	case slices.ContainsFunc(cells, func(c string) bool { return strings.EqualFold(c, "user") }):
		return PeopleCSV, true
	case isTokenLine(cells) || len(cells) > 4 && isTokenLine(cells[3:]):
		return TokenCSV, true
	}
	return Format{}, false
}

// isTokenLine says whether cells begin with a serial and a key.
func isTokenLine(cells []string) bool {
	if len(cells) < 2 || cells[0] == "" || len(cells[1]) < 20 {
		return false
	}
	_, err := hex.DecodeString(cells[1])
	return err == nil
}
