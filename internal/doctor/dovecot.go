package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/pamstack"
)

const dovecotConfig = "/etc/dovecot/dovecot.conf"

// dovecotService is the PAM service that dovecot names if its configuration
// names none.
const dovecotService = "dovecot"

// dovecot is what of its configuration decides whether the module can work:
// passdbs of the driver pam, and settings about all of them.
type dovecot struct {
	passdbs []dovecotPassdb
	// others are those of other drivers.
	others []dovecotPassdb
	// cache is auth_cache_size, if it is more than nothing.
	cache *dovecotSetting
	// limited says that the address space of auth-workers is dovecot's own
	// 256 MiB, as nobody set another.
	limited bool
}

type dovecotPassdb struct {
	pamstack.Place
	// driver is its kind, number its place among all.
	driver string
	number int
	// lets is whether its yes lets somebody in, final whether its no is the last
	// word.
	lets, final bool
	// services are the PAM services it names.
	services []string
	// cacheKey is where its cache_key is, nil if it has none.
	cacheKey *dovecotSetting
}

type dovecotSetting struct {
	pamstack.Place
	// block is the innermost one it is in, such as "passdb", "" for none.
	block, key, value string
}

// dovecotProtocols are the PAM services that "args = %s" stands for.
var dovecotProtocols = []string{"imap", "pop3", "submission", "smtp", "sieve"}

// dovecotOf reads the configuration. What cannot be read is left out: dovecot
// itself complains about that.
func dovecotOf(root string) dovecot {
	r := dovecotReader{root: root}
	r.file(dovecotConfig, 0)
	d := dovecot{limited: true}
	var p dovecotPassdb
	args, number := dovecotSetting{}, 0
	var ends []bool
	for _, s := range r.all {
		switch {
		case s.block == "" && s.key == "auth_cache_size":
			d.cache = nil
			if strings.Trim(s.value, "0 kMGTB") != "" {
				d.cache = &s
			}
		case s.block == "" && s.key == "default_vsz_limit", s.block == "service auth-worker" && s.key == "vsz_limit":
			d.limited = false
		case s.block != "passdb":
		case s.key == "{":
			number++
			p, args, ends = dovecotPassdb{Place: s.Place, number: number, lets: true}, dovecotSetting{}, nil
		case s.key == "driver":
			p.driver = s.value
		case s.key == "args":
			args = s
		case s.key == "deny" && s.value == "yes", s.key == "master" && s.value == "yes":
			p.lets = false
		case s.key == "result_failure", s.key == "result_internalfail":
			ends = append(ends, s.value == "return-fail" || s.value == "return")
		case s.key == "}":
			p.final = len(ends) == 2 && ends[0] && ends[1]
			d.keep(p, args)
		}
	}
	return d
}

func (d *dovecot) keep(p dovecotPassdb, args dovecotSetting) {
	if p.driver == "pam" {
		d.passdbs = append(d.passdbs, p.withArgs(args))
	} else if p.lets {
		d.others = append(d.others, p)
	}
}

func (p dovecotPassdb) withArgs(args dovecotSetting) dovecotPassdb {
	p.services = []string{dovecotService}
	for word := range strings.FieldsSeq(args.value) {
		switch {
		case strings.HasPrefix(word, "cache_key="):
			p.cacheKey = &args
		case strings.Contains(word, "=") || word == "*":
		case strings.HasPrefix(word, "%"):
			p.services = dovecotProtocols
		default:
			p.services = []string{word}
		}
	}
	return p
}

type dovecotReader struct {
	root   string
	all    []dovecotSetting
	blocks []string
}

func (r *dovecotReader) file(path string, depth int) {
	const maxDepth = 16 // so that a file that includes itself ends
	data, err := os.ReadFile(r.root + path)
	if err != nil || depth > maxDepth {
		return
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		key, value, set := strings.Cut(line, "=")
		s := dovecotSetting{Place: pamstack.Place{File: path, Line: number}, key: strings.TrimSpace(key), value: strings.TrimSpace(value)}
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "!include"):
			r.include(path, line, depth)
		case strings.HasSuffix(line, "{"):
			r.blocks = append(r.blocks, strings.TrimSpace(strings.TrimSuffix(line, "{")))
			s.key = "{"
			r.add(s)
		case line == "}" && len(r.blocks) > 0:
			s.key = "}"
			r.add(s)
			r.blocks = r.blocks[:len(r.blocks)-1]
		case set:
			r.add(s)
		}
	}
}

func (r *dovecotReader) add(s dovecotSetting) {
	if len(r.blocks) > 0 {
		s.block = r.blocks[len(r.blocks)-1]
	}
	r.all = append(r.all, s)
}

func (r *dovecotReader) include(from, line string, depth int) {
	_, pattern, _ := strings.Cut(line, " ")
	pattern = strings.TrimSpace(pattern)
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(from), pattern)
	}
	paths, err := filepath.Glob(r.root + pattern)
	if err != nil {
		return
	}
	for _, path := range paths {
		r.file(strings.TrimPrefix(path, r.root), depth+1)
	}
}

// asks says whether dovecot asks PAM for that service.
func (d dovecot) asks(service string) bool {
	return service == dovecotService || slices.ContainsFunc(d.passdbs, func(p dovecotPassdb) bool { return slices.Contains(p.services, service) })
}

// dovecot looks at what mail clients do with a code: see docs/recipes.md.
func (e *exam) dovecot() {
	for _, s := range e.stacks {
		if len(s.Checks) == 0 || !e.mail.asks(s.Service) {
			continue
		}
		line := s.Lines[s.Checks[0]]
		if s.Protocol == "" || e.settings.Policy.SessionFor(s.Protocol) == 0 {
			e.add(at(line.Place, Finding{Severity: Warning, ID: "mail-without-session", Services: []string{s.Service},
				What:    "No login through dovecot is remembered, and mail clients open several connections with the one field that they keep.",
				Follows: "Each connection but the first brings a code that has been used: it is refused.",
				Fix:     `protocol=login on the module's lines, and in [policy]: sessions = { login = "12h" }, see docs/recipes.md.`}))
		}
		for _, p := range e.mail.passdbs {
			if p.cacheKey != nil && e.mail.cache != nil && slices.Contains(p.services, s.Service) {
				e.add(at(p.cacheKey.Place, Finding{Severity: Warning, ID: "mail-remembered", Services: []string{s.Service},
					What:    fmt.Sprintf("dovecot remembers what PAM said: cache_key here, and auth_cache_size at %s.", e.mail.cache.Place),
					Follows: "As long as that lasts (auth_cache_ttl) a field with a used code gets in, from everywhere, whatever the policy says.",
					Fix:     "Take cache_key out of args; let otpgate remember the login instead, see docs/recipes.md."}))
			}
		}
	}
}
