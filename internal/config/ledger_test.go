package config

import (
	"strings"
	"testing"
	"time"
)

func TestLedger(t *testing.T) {
	const text = "[ledger]\netcd = ['https://etcd1.example.com:2379', 'https://192.0.2.1:2379', 'https://[2001:db8::1]:2379']\nca_file = '/c'\ncertificate_file = '/p'\nkey_file = '/k'\n"
	settings, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if l := settings.Ledger; len(l.Etcd) != 3 || l.Prefix != "otpgate/1/" || l.Timeout.Duration != 3*time.Second || l.Socket != "/run/otpgate/ledger.sock" {
		t.Errorf("%+v", l)
	}
	if settings, err = Parse("f", []byte("[ledger]\netcd = ['http://127.0.0.1:2379']\n")); err != nil || len(settings.Ledger.Etcd) != 1 {
		t.Errorf("%+v, %v", settings.Ledger, err)
	}
	if Default().Ledger != nil {
		t.Error("without a file the ledger is not in files")
	}
	if settings, err = Parse("f", []byte("[secrets]\nkeys = ['/k']\n[ledger]\netcd = ['http://127.0.0.1:2379']\npeople = true\n")); err != nil || !settings.Ledger.People || !settings.Secrets.Required {
		t.Errorf("people in etcd, and secrets that are not encrypted: %+v, %v", settings.Secrets, err)
	}
	// Files that are named must be there.
	if problem, key := (Config{Ledger: &Ledger{CAFile: "/none"}}).checkFiles(); problem == "" || key[1] != "ca_file" {
		t.Errorf("%q at %q", problem, key)
	}
}

func TestLedgerRefuses(t *testing.T) {
	const files = "ca_file = '/c'\ncertificate_file = '/p'\nkey_file = '/k'\n"
	const good = "[ledger]\netcd = ['https://h:1']\n" + files
	for text, want := range map[string]string{
		"[ledger]\n":                                                                "f:1: ledger.etcd: expected the members' URLs",
		"[ledger]\nprefix = 'x/'\n":                                                 "ledger.etcd: expected the members' URLs",
		"[ledger]\netcd = []\n":                                                     "f:2: ledger.etcd",
		"[ledger]\netcd = ['h:1']\n":                                                "f:2: ledger.etcd: expected the members' URLs",
		"[ledger]\netcd = ['https://h']\n":                                          "f:2: ledger.etcd: expected the members' URLs",
		"[ledger]\netcd = ['https://u:p@h:1']\n":                                    "f:2: ledger.etcd: expected the members' URLs",
		"[ledger]\netcd = ['https://h:1/v3']\n":                                     "f:2: ledger.etcd: expected the members' URLs",
		"[ledger]\netcd = ['http://h:1']\n":                                         "http:// is for 127.0.0.1",
		"[ledger]\netcd = ['http://localhost:1']\n":                                 "http:// is for 127.0.0.1",
		"[ledger]\netcd = ['https://h:1', 'http://127.0.0.1:1']\n" + files:          "expected https:// for all members",
		"[ledger]\netcd = ['http://127.0.0.1:1', 'https://h:1']\n" + files:          "expected https:// for all members",
		"[ledger]\netcd = ['https://h:1', 'https://h:1']\n" + files:                 "https://h:1 is there twice",
		"[ledger]\netcd = ['https://h:1']\n":                                        "ledger.ca_file: expected a file",
		"[ledger]\netcd = ['https://h:1']\nca_file = '/c'\nkey_file = '/k'\n":       "ledger.certificate_file: expected a file",
		"[ledger]\netcd = ['http://127.0.0.1:1']\nkey_file = '/k'\n":                "ledger.key_file: expected no file",
		"[ledger]\netcd = ['https://h:1']\n" + strings.Replace(files, "/c", "c", 1): "ledger.ca_file: expected an absolute path",
		good + "socket = 's'\n":                                                     "ledger.socket: expected an absolute path",
		good + "socket = ''\n":                                                      "ledger.socket: expected an absolute path",
		good + "prefix = ''\n":                                                      "ledger.prefix: expected text that ends in /",
		good + "prefix = 'otpgate'\n":                                               "ledger.prefix: expected text that ends in /",
		good + "timeout = '0s'\n":                                                   "ledger.timeout: expected",
		good + "timeout = '2m'\n":                                                   "ledger.timeout: expected",
		good + "people = true\n":                                                    "f:6: ledger.people: expected [secrets] with keys too",
		good + "endpoints = ['https://h:1']\n":                                      "unknown key",
		"[remote]\nservers = ['h:1']\nserver_keys = ['" + aKey + "']\n" + good:      "f:4: ledger: the servers of [remote] do that",
	} {
		if _, err := Parse("f", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}
