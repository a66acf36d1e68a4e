package servers

import (
	"cmp"
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

const dovecotConfig = "/etc/dovecot/dovecot.conf"

// Dovecot is what of its configuration decides whether the module can work:
// passdbs of the driver pam, and settings about all of them.
type Dovecot struct {
	passdbs []dovecotPassdb
	// others are those of other drivers, and masters those of master users.
	others, masters []dovecotPassdb
	// cache is auth_cache_size, if it is more than nothing.
	cache *dovecotSetting
	// Limited says that the address space of auth-workers is dovecot's own
	// 256 MiB, as nobody set another.
	Limited bool
	// protocols are those that are switched on, nil if nothing says.
	protocols []string
}

type dovecotPassdb struct {
	pamstack.Position
	// driver is its kind, number its place among all.
	driver string
	number int
	// lets is whether its yes lets somebody in, final whether its no is the last
	// word.
	lets, final bool
	// master says that it is of master users.
	master bool
	// services are the PAM services it names.
	services []string
	// cached is where it says that its answers are remembered if there is a cache,
	// nil if it does not.
	cached *dovecotSetting
	// named is whether it has a name, as since 2.4; those are cached unless they say
	// otherwise.
	named bool
}

type dovecotSetting struct {
	pamstack.Position
	// block is the innermost one it is in, such as "passdb", "" for none.
	block, key, value string
}

// ReadDovecot reads the configuration, of 2.3 or of 2.4 and later, which gives each
// passdb a name and each of its settings a key of its own. What cannot be read is
// left out: dovecot itself complains about that.
func ReadDovecot(root string) Dovecot {
	r := dovecotReader{root: root}
	r.file(dovecotConfig, 0)
	d := Dovecot{Limited: true}
	// What 2.4 takes where a passdb says nothing of its own.
	var all, p passdbReader
	var found []passdbReader
	number := 0
	for _, s := range r.all {
		name, isPassdb := s.passdb()
		switch {
		case s.block == "" && s.key == "protocols":
			words := strings.Fields(s.value)
			if len(words) > 0 && words[0] == "$protocols" { // packages add theirs
				words = append(d.protocols, words[1:]...)
			}
			d.protocols = words
		case s.block == "" && s.key == "auth_cache_size":
			d.cache = nil
			if strings.Trim(s.value, "0 kMGTB") != "" {
				d.cache = &s
			}
		case s.block == "" && s.key == "default_vsz_limit", s.block == "service auth-worker" && strings.TrimPrefix(s.key, "service_") == "vsz_limit":
			d.Limited = false
		case s.block == "passdb_pam", s.block == "" && strings.HasPrefix(s.key, "passdb_"):
			all.set(s)
		case !isPassdb:
		case s.key == "{":
			number++
			p = passdbReader{dovecotPassdb: dovecotPassdb{Position: s.Position, number: number, driver: name, lets: true, named: name != ""}}
		case s.key == "}":
			found = append(found, p)
		default:
			p.set(s)
		}
	}
	for _, p := range found {
		p.final = len(p.ends) == 2 && p.ends[0] && p.ends[1]
		switch {
		case p.master:
			d.masters = append(d.masters, p.dovecotPassdb)
		case p.driver == "pam":
			d.passdbs = append(d.passdbs, p.withArgs(all))
		case p.lets:
			d.others = append(d.others, p.dovecotPassdb)
		}
	}
	return d
}

// passdbReader is a passdb while its lines are read.
type passdbReader struct {
	dovecotPassdb
	// args are 2.3's.
	args dovecotSetting
	// service and useCache are 2.4's, "" if they are not set.
	service, useCache string
	// ends is whether each result that is no yes is the last word.
	ends []bool
}

// passdb says whether a setting is of a passdb, and that one's name.
func (s dovecotSetting) passdb() (name string, ok bool) {
	kind, name, _ := strings.Cut(s.block, " ")
	return strings.TrimSpace(name), kind == "passdb"
}

// set takes a setting. 2.4 has some under two or three names.
func (p *passdbReader) set(s dovecotSetting) {
	switch strings.TrimPrefix(strings.TrimPrefix(s.key, "passdb_"), "pam_") {
	case "driver":
		p.driver = s.value
	case "args":
		p.args = s
	case "service_name":
		p.service = s.value
	case "use_cache":
		p.useCache = s.value
	case "deny":
		p.lets = p.lets && s.value != "yes"
	case "master":
		p.master = s.value == "yes"
	case "result_failure", "result_internalfail":
		p.ends = append(p.ends, s.value == "return-fail" || s.value == "return")
	}
}

// withArgs is what 2.3's args make of it, or the settings that 2.4 has for them.
func (p passdbReader) withArgs(all passdbReader) dovecotPassdb {
	if p.named {
		p.services = servicesOf(cmp.Or(p.service, all.service, authstack.MailService))
		if cmp.Or(p.useCache, all.useCache) != "no" {
			p.cached = &dovecotSetting{Position: p.Position}
		}
		return p.dovecotPassdb
	}
	p.services = []string{authstack.MailService}
	for word := range strings.FieldsSeq(p.args.value) {
		switch {
		case strings.HasPrefix(word, "cache_key="):
			p.cached = &p.args
		case strings.Contains(word, "=") || word == "*":
		default:
			p.services = servicesOf(word)
		}
	}
	return p.dovecotPassdb
}

func servicesOf(word string) []string {
	if strings.HasPrefix(word, "%") {
		return authstack.MailServices
	}
	return []string{word}
}

type dovecotReader struct {
	root   string
	all    []dovecotSetting
	blocks []string
}

func (r *dovecotReader) file(path string, depth int) {
	for place, line := range target.Lines(r.root, path, depth) {
		line, _, _ = strings.Cut(line, " #")
		key, value, set := strings.Cut(line, "=")
		s := dovecotSetting{Position: place, key: strings.TrimSpace(key), value: strings.TrimSpace(value)}
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
	for _, path := range target.Glob(r.root, pattern) {
		r.file(path, depth+1)
	}
}
