package command

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Whatever stands in the place of a word of a file that is imported, be it a key,
// neither the answer nor the messages nor the log show it, in whichever format the
// file is read.
func TestImportsShowNoKeys(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "otpgate.toml")
	settings := "[paths]\nusers = \"" + dir + "/users\"\nstate = \"" + dir + "/state\"\n"
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(config, settings)
	write(filepath.Join(dir, "key"), "12345678901234567890123456789012\n")
	write(filepath.Join(dir, "words"), "qwerty\n")
	sample := func(name string) string {
		text, err := os.ReadFile("../../internal/tokenfile/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	files := map[string]string{
		"csv":  "user,kind,secret,uri,confirmed\nalice,hotp,JBSWY3DPEHPK3PXR,,yes\nbob,,,otpauth://totp/b?secret=JBSWY3DPEHPK3PXP,no\n",
		"oath": "HOTP/T30/6 alice - 3132333435363738393031323334353637383931\nHOTP bob 1234 3132333435363738393031323334353637383930 5\n",
	}
	for command, name := range map[string]string{"uri": "uris.txt", "pskc": "plain.xml", "andotp": "andotp.json", "aegis": "aegis.json", "2fas": "2fas.json", "privacyidea": "privacyidea.csv", "linotp": "linotp.csv"} {
		files[command] = sample(name)
	}
	files["pskc --key-file "+dir+"/key"] = sample("rfc6030-figure6.xml")
	files["pskc --passphrase-file "+dir+"/words"] = sample("rfc6030-figure7.xml")
	path := filepath.Join(dir, "file")
	try := func(command, text string) {
		t.Helper()
		write(path, text)
		var said bytes.Buffer
		world := invocation.World{
			Version: "1", Stdin: strings.NewReader(""), Stdout: &said, Stderr: &said, Log: audit.Writer{Writer: &said},
			Now: func() time.Time { return time.Date(2026, 11, 22, 10, 0, 5, 0, time.UTC) },
			Lookup: func(name string) (string, bool, error) {
				return name, name == "alice" || name == "bob" || name == "carol", nil
			},
		}
		args := append([]string{"--config", config, "--verbose", "import"}, strings.Fields(command)...)
		Run(world, append(args, path, "--dry-run"))
		if strings.Contains(strings.ToUpper(said.String()), "PLANTED") {
			t.Errorf("import %s of\n%s\nsays: %s", command, text, said.String())
		}
	}
	word := regexp.MustCompile(`[A-Za-z0-9+/=%.-]+`)
	for command, text := range files {
		for i, place := range word.FindAllStringIndex(text, -1) {
			planted := []string{"PLANTEDKEYPLANTEDKEY", "otpauth://PLANTED", `"PLANTEDKEYPLANTEDKEY`}[i%3]
			try(command, text[:place[0]]+planted+text[place[1]:])
		}
		for other := range files {
			try(other, strings.ReplaceAll(text, "alice", "PLANTEDKEYPLANTEDKEY"))
		}
	}
}
