package packages_test

import (
	"encoding/base32"
	"encoding/base64"
	"net/url"
	"os"
	"strings"
)

// devices are the files of other programs that the documents import: the samples
// that the readers are tested with.
const devices = "../../internal/tokenfile/testdata/"

// brings puts a sample into the directory of the story, for root alone, and says
// whose its devices are, if whose is not empty. Of a line that names nobody the
// import says so, so that each file has its own.
func brings(file, sample, whose string) func(r *run) {
	return func(r *run) {
		r.Helper()
		text, err := os.ReadFile(devices + sample)
		if err != nil {
			r.Fatal(err)
		}
		r.write(r.T, "/root/"+file, string(text))
		r.write(r.T, "/root/who.csv", whose)
		r.write(r.T, "/root/key", "12345678901234567890123456789012\n")
		r.write(r.T, "/root/words", "qwerty\n")
		r.write(r.T, "/root/passphrase", "qwerty\n")
		r.must("chmod 600 /root/" + file + " /root/key /root/words /root/passphrase && " + withoutSamples)
	}
}

// withoutSamples takes away what the lines before have brought: samples have keys in common, and
// a token is not given to two people.
const withoutSamples = "cd /etc/otpgate/users && rm -f games.toml news.toml mail.toml man.toml lp.toml sync.toml uucp.toml irc.toml"

// own is brings with a text for the place of a sample.
func own(file, text, whose string) func(r *run) {
	return func(r *run) {
		r.Helper()
		r.write(r.T, "/root/"+file, text)
		r.write(r.T, "/root/who.csv", whose)
		r.must("chmod 600 /root/" + file + " && " + withoutSamples)
	}
}

// The exports of apps, each with one device of somebody who has none yet.
func andOTP(user string) string {
	return `[{"secret":"` + known + `","issuer":"Example","label":"` + user + `","digits":6,"type":"TOTP","algorithm":"SHA1","period":30,"tags":[]}]`
}

func aegis(user string) string {
	return `{"version":1,"header":{"slots":null,"params":null},"db":{"version":3,"entries":[{"type":"totp","name":"` + user +
		`","issuer":"Example","info":{"secret":"` + known + `","algo":"SHA1","digits":6,"period":30}}]}}`
}

func twoFAS(user string) string {
	return `{"services":[{"name":"Example","secret":"` + known + `","otp":{"account":"` + user + `","tokenType":"TOTP"}}],"schemaVersion":4}`
}

func googleApp(user string) string {
	key, err := base32.StdEncoding.DecodeString(known)
	if err != nil {
		panic(err)
	}
	device := append(append([]byte{0x0a, byte(len(key))}, key...), 0x12, byte(len(user)))
	device = append(append(device, user...), 0x30, 2) // by the clock
	message := append([]byte{0x0a, byte(len(device))}, device...)
	return "otpauth-migration://offline?data=" + url.QueryEscape(base64.StdEncoding.EncodeToString(message)) + "\n"
}

// tokens are the lines of a server's list, with keys that the others have not.
const tokens = "tok1, 3132333435363738393031323334353637383930, hotp, 6\ntok2, 4142434445464748494a4b4c4d4e4f5051525354, totp, 6, 60\n"

// importing are the lines of moving-over.md and, with other files, of the help.
var importing = map[string]handling{
	"otpctl import uri uris.txt --dry-run":                                     {before: own("uris.txt", "games otpauth://totp/Example:me?secret="+known+"\n", ""), says: "games +would-import"},
	"otpctl import uri uris.txt --map who.csv":                                 {before: own("uris.txt", "otpauth://totp/Example:me?secret="+known+"\n", "Example:me,games\n"), says: "games +imported"},
	"otpctl import pskc tokens.xml --map who.csv --dry-run":                    {before: brings("tokens.xml", "plain.xml", "1000133508255,news\nk2,news\n"), says: "news +would-import"},
	"otpctl import pskc tokens.xml --map who.csv":                              {before: brings("tokens.xml", "plain.xml", "1000133508255,news\nk2,news\n"), says: "news +imported"},
	"otpctl import pskc tokens.xml --map who.csv --key-file key":               {before: brings("tokens.xml", "rfc6030-figure6.xml", "987654321,mail\n"), says: "mail +imported"},
	"otpctl import pskc tokens.xml --map who.csv --passphrase-file words":      {before: brings("tokens.xml", "rfc6030-figure7.xml", "987654321,man\n"), says: "man +imported"},
	"otpctl import pskc tokens.xml --map who.csv --passphrase-file passphrase": {before: brings("tokens.xml", "rfc6030-figure7.xml", "987654321,man\n"), says: "man +imported"},
	"otpctl import privacyidea tokens.csv --map who.csv --dry-run":             {before: own("tokens.csv", tokens, "tok1,lp\ntok2,lp\n"), says: "lp +would-import"},
	"otpctl import privacyidea tokens.csv --map who.csv":                       {before: own("tokens.csv", tokens, "tok1,lp\ntok2,lp\n"), says: "lp +imported"},
	"otpctl import linotp tokens.csv --map who.csv --dry-run":                  {before: own("tokens.csv", tokens, "tok1,lp\ntok2,lp\n"), says: "lp +would-import"},
	"otpctl import linotp tokens.csv --map who.csv":                            {before: own("tokens.csv", tokens, "tok1,lp\ntok2,lp\n"), says: "lp +imported"},
	"otpctl import andotp otp_accounts.json --dry-run":                         {before: own("otp_accounts.json", andOTP("sync"), ""), says: "sync +would-import"},
	"otpctl import aegis aegis-export.json --map who.csv":                      {before: own("aegis-export.json", aegis("me"), "me,sync\n"), says: "sync +imported"},
	"otpctl import 2fas 2fas-backup.2fas":                                      {before: own("2fas-backup.2fas", twoFAS("uucp"), ""), says: "uucp +imported"},
	"otpctl import google-app export.txt --dry-run":                            {before: own("export.txt", googleApp("irc"), ""), says: "irc +would-import"},
	"otpctl import google-app export.txt --map who.csv":                        {before: own("export.txt", googleApp("me"), "me,irc\n"), says: "irc +imported"},
	"otpctl import andotp export.json --dry-run":                               {before: own("export.json", andOTP("sync"), ""), says: "sync +would-import"},
	"otpctl import andotp export.json --map who.csv":                           {before: own("export.json", andOTP("me"), "me,sync\n"), says: "sync +imported"},
	"otpctl import aegis export.json --dry-run":                                {before: own("export.json", aegis("sync"), ""), says: "sync +would-import"},
	"otpctl import aegis export.json --map who.csv":                            {before: own("export.json", aegis("me"), "me,sync\n"), says: "sync +imported"},
	"otpctl import 2fas export.json --dry-run":                                 {before: own("export.json", twoFAS("sync"), ""), says: "sync +would-import"},
	"otpctl import 2fas export.json --map who.csv":                             {before: own("export.json", twoFAS("me"), "me,sync\n"), says: "sync +imported"},
}

// importsIn are those of them that stand in a text, beside others.
func importsIn(stands func(line string) bool, others map[string]handling) map[string]handling {
	for line, h := range importing {
		if stands(line) {
			others[line] = h
		}
	}
	return others
}

// ofTheHelp says whether a line of importing is an example of otpctl's help, and
// ofTheDocument whether it stands in moving-over.md.
func ofTheHelp(line string) bool {
	return !strings.Contains(line, "key-file") && !strings.HasSuffix(line, "words") && !strings.Contains(line, "otp_accounts") &&
		!strings.Contains(line, "-export.json") && !strings.Contains(line, "backup.2fas")
}

func ofTheDocument(line string) bool {
	return !strings.HasSuffix(line, "passphrase") && !strings.Contains(line, " export.json") &&
		line != "otpctl import pskc tokens.xml --map who.csv" && line != "otpctl import privacyidea tokens.csv --map who.csv" &&
		line != "otpctl import linotp tokens.csv --map who.csv --dry-run"
}
