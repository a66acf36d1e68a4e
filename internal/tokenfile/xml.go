package tokenfile

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// element is an element of XML, with what is in it.
type element struct {
	name     xml.Name
	attrs    map[string]string // those without a namespace
	children []*element
	text     []byte
}

// Bounds of what is read: a container has some thirty elements for each device, and
// none lies deeper than ten.
const (
	maxElements = 2_000_000
	maxDepth    = 32
	maxAttrs    = 32
)

// What the decoder says of a mistake quotes it, so that it is not passed on.
var (
	errXML     = errors.New("it is no well-formed XML in UTF-8, or cut off")
	errDoctype = errors.New("it has a document type, which a key container has not")
	errLarge   = errors.New("it has more in it than any key container")
)

func newDecoder(data []byte) *xml.Decoder { return xml.NewDecoder(bytes.NewReader(text(data))) }

// rootOf is the name of the first element.
func rootOf(data []byte) (xml.Name, error) {
	decoder := newDecoder(data)
	for {
		token, err := decoder.RawToken()
		if err != nil {
			return xml.Name{}, errXML
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name, nil
		}
	}
}

// parseXML reads a document. There are no entities but XML's own five.
func parseXML(data []byte) (*element, error) {
	decoder := newDecoder(data)
	var root *element
	var open []*element
	for count := 0; ; {
		token, err := decoder.Token()
		switch {
		case errors.Is(err, io.EOF) && root != nil && len(open) == 0:
			return root, nil
		case err != nil:
			line, _ := decoder.InputPos()
			return nil, fmt.Errorf("near line %d: %w", line, errXML)
		}
		switch token := token.(type) {
		case xml.Directive:
			return nil, errDoctype
		case xml.StartElement:
			if count++; count > maxElements || len(open) >= maxDepth {
				return nil, errLarge
			}
			e, err := newElement(token)
			switch {
			case err != nil:
				return nil, err
			case len(open) > 0:
				above := open[len(open)-1]
				above.children = append(above.children, e)
			case root != nil:
				return nil, errXML
			default:
				root = e
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				above := open[len(open)-1]
				above.text = append(above.text, token...)
			}
		}
	}
}

func newElement(start xml.StartElement) (*element, error) {
	if len(start.Attr) > maxAttrs {
		return nil, errLarge
	}
	e := &element{name: start.Name, attrs: map[string]string{}}
	for _, a := range start.Attr {
		if a.Name.Space != "" || a.Name.Local == "xmlns" {
			continue
		}
		if _, twice := e.attrs[a.Name.Local]; twice {
			return nil, errXML
		}
		e.attrs[a.Name.Local] = a.Value
	}
	return e, nil
}

// value is the text without the white space around it.
func (e *element) value() string {
	if e == nil {
		return ""
	}
	return strings.TrimSpace(string(e.text))
}

// all are the children of that name, in any namespace: what counts is where they
// stand, as examples of RFC 6030 itself leave the namespace of some out.
func (e *element) all(name string) (found []*element) {
	if e == nil {
		return nil
	}
	for _, child := range e.children {
		if child.name.Local == name {
			found = append(found, child)
		}
	}
	return found
}

// one is the only child of that name, nil if there is none. Which of two counts is
// nobody's guess.
func (e *element) one(name string) (*element, error) {
	found := e.all(name)
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, errors.New("it has two " + name + " where there is one")
}

// at is the element that a path of names leads to, nil if it is not there.
func (e *element) at(names ...string) (found *element, err error) {
	found = e
	for _, name := range names {
		if found, err = found.one(name); err != nil || found == nil {
			return nil, err
		}
	}
	return found, nil
}
