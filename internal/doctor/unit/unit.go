// Package unit says which commands systemd's services of a machine start, as far
// as files tell: units by the order of their directories, masked ones left out,
// drop-ins and aliases followed, variables put in. See systemd.unit(5) and
// systemd.service(5). It asks no systemd, so that it reads trees that are none.
package unit

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// dirs are where units are, those first that count before the others.
var dirs = []string{
	"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/run/systemd/generator.early",
	"/etc/systemd/system", "/etc/systemd/system.attached", "/run/systemd/system", "/run/systemd/system.attached", "/run/systemd/generator",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/generator.late",
}

const suffix = ".service"

// Service is a unit that is not masked.
type Service struct {
	Name string
	// Commands are those of ExecStart.
	Commands []Command
	// Whole says that there is a unit, and not drop-ins of one alone.
	Whole       bool
	environment []Variable
	// allow and deny are addresses, by IPAddressAllow= and IPAddressDeny=.
	allow, deny []Word
}

// Command is one that a service starts.
type Command struct {
	pamstack.Position
	// Words are the program and its arguments, with variables put in.
	Words []Word
	// Name is what the program is told that it is called, if that is said.
	Name string
}

// Word is a part of a command, at the line that it comes from.
type Word struct {
	pamstack.Position
	Text string
}

// Services are those of the machine below root whose name or text has one of some
// words in it, in the order of their names.
func Services(root string, words ...string) []Service {
	r := reader{root: root, fragments: map[string]string{}, aliases: map[string][]string{}, instances: map[string][]string{}, beside: map[string]bool{}}
	r.find()
	var found []Service
	for _, name := range slices.Sorted(maps.Keys(r.fragments)) {
		if s, mentions := r.service(name, words); mentions {
			found = append(found, s...)
		}
	}
	return found
}

type reader struct {
	root string
	// fragments are the files that count, by unit; "" if it is masked.
	fragments map[string]string
	// aliases are the other names of a unit, and instances what is enabled of a
	// template.
	aliases, instances map[string][]string
	// beside are the directories with drop-ins that there are.
	beside map[string]bool
}

func (r *reader) find() {
	for _, dir := range dirs {
		for _, path := range target.Glob(r.root, dir+"/*"+suffix) {
			name := filepath.Base(path)
			if _, hidden := r.fragments[name]; hidden {
				continue
			}
			r.fragments[name] = path
			linked, err := os.Readlink(r.root + path)
			info, missing := os.Stat(r.root + path)
			switch other := filepath.Base(linked); {
			case err == nil && linked == "/dev/null", missing == nil && info.Mode().IsRegular() && info.Size() == 0:
				r.fragments[name] = ""
			case err == nil && other != name && strings.HasSuffix(other, suffix):
				r.aliases[other] = append(r.aliases[other], name)
				r.fragments[name] = ""
			}
		}
		for _, path := range target.Glob(r.root, dir+"/*.wants/*@*"+suffix) {
			if template, instance := templateOf(filepath.Base(path)); instance != "" && !slices.Contains(r.instances[template], instance) {
				r.instances[template] = append(r.instances[template], instance)
			}
		}
	}
	r.orphans()
}

// orphans are drop-ins of a unit whose own file is not there: an image may have
// the one without the other.
func (r *reader) orphans() {
	for _, dir := range dirs {
		for _, path := range target.Glob(r.root, dir+"/*"+suffix[1:]+".d") {
			r.beside[path] = true
			if !strings.HasSuffix(path, suffix+".d") {
				continue // it is for all services
			}
			name := strings.TrimSuffix(filepath.Base(path), ".d")
			_, known := r.fragments[name]
			if !known && name != suffix[1:] && !strings.HasSuffix(name, "-"+suffix) {
				r.fragments[name] = path // a directory has no lines
			}
		}
	}
}

// templateOf takes the name of an instance apart.
func templateOf(name string) (template, instance string) {
	before, behind, ok := strings.Cut(strings.TrimSuffix(name, suffix), "@")
	if !ok {
		return name, ""
	}
	return before + "@" + suffix, behind
}

// service reads a unit, and says whether its name or text has one of the words. Of a
// template it is one for each instance.
func (r *reader) service(name string, words []string) (found []Service, mentions bool) {
	path := r.fragments[name]
	if path == "" {
		return nil, false
	}
	files := append([]string{path}, r.dropIns(name)...)
	named := func(word string) bool { return strings.Contains(name, word) }
	if !slices.ContainsFunc(words, named) && !slices.ContainsFunc(files, func(file string) bool {
		text, err := target.Read(r.root, file)
		has := func(word string) bool { return strings.Contains(string(text), word) }
		return err == nil && slices.ContainsFunc(words, has)
	}) {
		return nil, false
	}
	instances := append([]string{""}, r.instances[name]...)
	if len(instances) > 1 {
		instances = instances[1:]
	}
	for _, instance := range instances {
		s := Service{Name: name, Whole: !strings.HasSuffix(path, ".d")}
		if instance != "" {
			s.Name = strings.Replace(name, "@", "@"+instance, 1)
		}
		p := parser{root: r.root, service: &s}
		for _, file := range files {
			p.file(file)
		}
		p.finish()
		found = append(found, s)
	}
	return found, true
}

// dropIns are the files beside a unit that count, in their order.
func (r *reader) dropIns(name string) []string {
	var beside []string
	for _, called := range append([]string{name}, r.aliases[name]...) {
		beside = append(beside, called+".d")
		base := strings.TrimSuffix(called, suffix)
		for at := len(base) - 1; at >= 0; at-- {
			if base[at] == '-' {
				beside = append(beside, base[:at+1]+suffix+".d")
			}
		}
	}
	beside = append(beside, suffix[1:]+".d")
	counts := map[string]string{}
	for _, directory := range beside {
		for _, dir := range dirs {
			if !r.beside[dir+"/"+directory] {
				continue
			}
			for _, path := range target.Glob(r.root, dir+"/"+directory+"/*.conf") {
				if _, hidden := counts[filepath.Base(path)]; !hidden {
					counts[filepath.Base(path)] = path
				}
			}
		}
	}
	paths := slices.Collect(maps.Values(counts))
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(filepath.Base(a), filepath.Base(b)) })
	return paths
}
