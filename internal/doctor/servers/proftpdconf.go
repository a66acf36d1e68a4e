package servers

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// proftpdConfigs are where distributions have it.
var proftpdConfigs = []string{"/etc/proftpd/proftpd.conf", "/etc/proftpd.conf"}

// proftpdService is the PAM service that it names if it is not told another.
const proftpdService = "proftpd"

// proftpdServer is what one of its servers does with a password: the main one,
// or a VirtualHost with what <Global> adds to it.
type proftpdServer struct {
	place   pamstack.Position
	service string
	// order is nil if no AuthOrder holds, and orderAt where one stands.
	order   []string
	orderAt pamstack.Position
	// off is where AuthPAM is off, the zero value if it is not.
	off pamstack.Position
	// ways are the first directives of those that let in beside PAM, by their names.
	ways map[string]proftpdWay
}

// proftpdWay is such a directive.
type proftpdWay struct {
	pamstack.Position
	values []string
}

// proftpdServers reads the configuration as ProFTPD does: of a directive given
// twice the first counts, and <Global> holds where a server says nothing.
func proftpdServers(root string) []proftpdServer {
	for _, path := range proftpdConfigs {
		if _, err := os.Stat(root + path); err == nil {
			r := proftpdReader{root: root, servers: []proftpdServer{{place: pamstack.Position{File: path}}}}
			r.file(path, 0)
			for i := range r.servers {
				r.servers[i].inherit(r.global)
			}
			return r.servers
		}
	}
	return nil
}

func (s *proftpdServer) inherit(global proftpdServer) {
	if s.order == nil {
		s.order, s.orderAt = global.order, global.orderAt
	}
	if s.service == "" {
		s.service = global.service
	}
	if s.service == "" {
		s.service = proftpdService
	}
	if s.off.Line == 0 {
		s.off = global.off
	}
	ways := maps.Clone(global.ways)
	if ways == nil {
		ways = map[string]proftpdWay{}
	}
	maps.Copy(ways, s.ways)
	s.ways = ways
}

type proftpdReader struct {
	root    string
	servers []proftpdServer // the main one first
	global  proftpdServer
	blocks  []string
}

func (r *proftpdReader) file(path string, depth int) {
	var first pamstack.Position
	whole := ""
	for place, line := range target.Lines(r.root, path, depth) {
		if whole == "" {
			first = place
		}
		before, goesOn := strings.CutSuffix(line, "\\")
		whole += before + " "
		if !goesOn {
			r.directive(first, strings.Fields(strings.ReplaceAll(whole, `"`, "")), depth)
			whole = ""
		}
	}
}

func (r *proftpdReader) directive(place pamstack.Position, words []string, depth int) {
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return
	}
	name := strings.ToLower(words[0])
	switch {
	case strings.HasPrefix(name, "</"):
		if len(r.blocks) > 0 {
			r.blocks = r.blocks[:len(r.blocks)-1]
		}
	case strings.HasPrefix(name, "<"):
		name = strings.Trim(name, "<>")
		r.blocks = append(r.blocks, name)
		if name == "virtualhost" {
			r.servers = append(r.servers, proftpdServer{place: place})
		}
	case name == "include" && len(words) > 1:
		r.include(words[1], depth)
	case len(words) > 1:
		r.server().set(place, name, words[1:])
	}
}

// server is what a directive is about.
func (r *proftpdReader) server() *proftpdServer {
	switch {
	case slices.Contains(r.blocks, "virtualhost"):
		return &r.servers[len(r.servers)-1]
	case slices.Contains(r.blocks, "global"):
		return &r.global
	}
	return &r.servers[0]
}

func (s *proftpdServer) set(place pamstack.Position, name string, values []string) {
	switch {
	case name == "authorder" && s.order == nil:
		s.order, s.orderAt = values, place
	case name == "authpamconfig" && s.service == "":
		s.service = values[0]
	case slices.Contains(proftpdWays, name):
		if _, first := s.ways[name]; !first {
			if s.ways == nil {
				s.ways = map[string]proftpdWay{}
			}
			s.ways[name] = proftpdWay{place, values}
		}
	case name == "authpam" && s.off.Line == 0 && slices.Contains([]string{"off", "no", "false", "0"}, strings.ToLower(values[0])):
		s.off = place
	}
}

func (r *proftpdReader) include(pattern string, depth int) {
	if info, err := os.Stat(r.root + pattern); err == nil && info.IsDir() {
		pattern = filepath.Join(pattern, "*")
	}
	for _, path := range target.Glob(r.root, pattern) {
		r.file(path, depth+1)
	}
}
