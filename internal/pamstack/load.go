package pamstack

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUnreadable is wrapped if libpam finds nothing for a service, or gives up
// on it: every login is denied then.
var ErrUnreadable = errors.New("libpam cannot read the service")

// loader is one run through a service's files.
type loader struct {
	tree  Tree
	stack *Stack
	into  *[]Line
	// service filters the lines of pam.conf.
	service string
}

// Load reads all that libpam would for a service.
func (t Tree) Load(service string) (Stack, error) {
	// pam_start(3) does so too.
	service = strings.ToLower(service)
	stack := Stack{Service: service}
	l := loader{tree: t, stack: &stack, service: service}
	if !t.hasDirectory() {
		return stack, l.loadConf()
	}
	path, found := t.Find(service)
	if found {
		stack.File = path
		l.into = &stack.own
		if err := l.file(path, Any, 0, nil); err != nil {
			return stack, fmt.Errorf("%w %s: %w", ErrUnreadable, service, err)
		}
	}
	fallback, hasOther := t.Find(Other)
	if hasOther {
		l.into = &stack.other
		if err := l.file(fallback, Any, 0, nil); err != nil {
			return stack, fmt.Errorf("%w %s: %w", ErrUnreadable, service, err)
		}
	}
	if !found && !hasOther {
		return stack, fmt.Errorf("%w %s: neither it nor %q is in %s", ErrUnreadable, service, Other, strings.Join(t.dirs(), " or "))
	}
	return stack, nil
}

// loadConf reads pam.conf, which counts only where there is no pam.d.
func (l *loader) loadConf() error {
	data, err := l.tree.Read(ConfFile)
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrUnreadable, l.service, err)
	}
	l.stack.File, l.stack.Files = ConfFile, []string{ConfFile}
	all, whole := statements(data)
	for _, s := range all {
		name, rest, _ := token(s.text)
		s.text = rest
		switch {
		case strings.EqualFold(name, Other):
			l.into = &l.stack.other
		case strings.EqualFold(name, l.service):
			l.into = &l.stack.own
		default:
			continue
		}
		if err := l.add(ConfFile, s, Any, 0, nil); err != nil {
			return fmt.Errorf("%w %s: %w", ErrUnreadable, l.service, err)
		}
	}
	if !whole {
		return fmt.Errorf("%w %s: %s ends within a line", ErrUnreadable, l.service, ConfFile)
	}
	return nil
}

// file adds the lines of a file, only those of one type if wanted is one.
func (l *loader) file(path string, wanted Type, level int, via []Position) error {
	if len(via) >= maxDepth {
		return errors.New("files include each other without an end")
	}
	data, err := l.tree.Read(path)
	if err != nil {
		return err
	}
	if !slices.Contains(l.stack.Files, path) {
		l.stack.Files = append(l.stack.Files, path)
	}
	all, whole := statements(data)
	for _, s := range all {
		if err := l.add(path, s, wanted, level, via); err != nil {
			return err
		}
	}
	if !whole {
		return fmt.Errorf("%s ends within a line", path)
	}
	return nil
}

var typesByName = map[string]Type{"auth": Auth, "account": Account, "session": Session, "password": Password}

// add takes one statement. Its error is one that libpam gives up at.
func (l *loader) add(path string, s statement, wanted Type, level int, via []Position) error {
	line := Line{Position: Position{path, s.first}, Last: s.last, Level: level, Via: via, Kind: Module}
	word, rest, found := token(s.text)
	if found && strings.EqualFold(word, atInclude) && l.tree.Debian {
		name, _, named := token(rest)
		line.Module, line.Control, line.Type = name, atInclude, wanted
		err := l.named(line, wanted, level, named)
		if err != nil && wanted == Any {
			return fmt.Errorf("%s: cannot include: %w", line.Position, err)
		}
		l.failed(line, err)
		return nil
	}
	if after, silent := strings.CutPrefix(word, "-"); silent {
		line.Silent, word = true, after
	}
	known := false
	if line.Type, known = typesByName[strings.ToLower(word)]; !known {
		line.Kind, line.Problem = Broken, "expected auth, account, session or password as the first word, found "+quoted(word)
		line.Type = wanted
		if wanted == Any {
			line.Type = Auth
		}
	}
	if wanted == Any || line.Type == wanted {
		l.control(line, rest)
	}
	return nil
}

// control reads what follows the type.
func (l *loader) control(line Line, rest string) {
	control, rest, found := token(rest)
	line.Control = control
	name, rest, named := token(rest)
	line.Module = name
	switch word := strings.ToLower(control); {
	case !found:
		line.Actions = noActions()
		line.Actions.fill(Bad)
		line.broken("expected a control such as required behind the type")
	case word == "include" || word == "substack":
		l.include(line, word == "substack", named)
		return
	default:
		good := false
		if line.Actions, good = actionsOf(control); !good {
			line.Problem = "libpam does not know the control " + quoted(control) + " and takes every result for bad"
		}
		if !named {
			line.broken("expected a module behind the control")
		}
		line.Args = tokens(rest)
	}
	*l.into = append(*l.into, line)
}

func quoted(text string) string { return fmt.Sprintf("%q", text) }

func (l *Line) broken(problem string) { l.Kind, l.Problem = Broken, problem }

// include adds another file's lines of the same type.
func (l *loader) include(line Line, substack, named bool) {
	level := line.Level
	if substack {
		mark := line
		mark.Kind = Substack
		*l.into = append(*l.into, mark)
		level++
	}
	l.failed(line, l.named(line, line.Type, level, named))
}

// failed puts a line that fails where one could not include all.
func (l *loader) failed(line Line, err error) {
	if err == nil {
		return
	}
	line.Actions = noActions()
	line.Actions.fill(Bad)
	line.broken("cannot include: " + err.Error())
	*l.into = append(*l.into, line)
}

// atInclude is Debian's own: all the types of another file.
const atInclude = "@include"

func (l *loader) named(line Line, wanted Type, level int, named bool) error {
	if !named {
		return errors.New("expected the name of a file")
	}
	path, found := l.tree.findIncluded(line.Module)
	if !found {
		return fmt.Errorf("there is no file %s", line.Module)
	}
	via := append(slices.Clone(line.Via), line.Position)
	if level >= maxDepth {
		return errors.New("substacks are too deep")
	}
	return l.file(path, wanted, level, via)
}
