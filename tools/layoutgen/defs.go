package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A field is one LAYOUT_FIELD: our name and the alternatives of its path in Go's type.
type field struct {
	name  string
	paths []string
}

// A group is one LAYOUT_GROUP: our name, the alternative names of Go's type, and the wanted fields.
type group struct {
	name   string
	types  []string
	fields []field
}

// A constant is one LAYOUT_CONSTANT with its alternative sources.
type constant struct {
	name    string
	sources []string
}

// wants is what the .def files ask for: the one list of facts, shared with the C code.
type wants struct {
	groups    []group
	constants []constant
	reasons   map[string]string // the runtime's text to our name
}

var (
	commentPattern = regexp.MustCompile(`(?s)/\*.*?\*/`)
	macroPattern   = regexp.MustCompile(`([A-Z_]+)\((\w+)(?:,\s*"([^"]*)")?\)`)
)

// readDefs reads the three .def files in dir.
func readDefs(dir string) (*wants, error) {
	w := &wants{reasons: map[string]string{}}
	for _, name := range []string{"fields.def", "constants.def", "wait_reasons.def"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		body := commentPattern.ReplaceAllString(string(text), "")
		for _, m := range macroPattern.FindAllStringSubmatch(body, -1) {
			if err := w.add(m[1], m[2], m[3]); err != nil {
				return nil, fmt.Errorf("%s: %v", name, err)
			}
		}
	}
	return w, nil
}

// add takes in one macro call of a .def file.
func (w *wants) add(macro, name, source string) error {
	alternatives := strings.Split(source, "|")
	last := len(w.groups) - 1
	switch macro {
	case "LAYOUT_GROUP":
		w.groups = append(w.groups, group{name: name, types: alternatives})
	case "LAYOUT_FIELD":
		if last < 0 {
			return fmt.Errorf("field %s stands before the first group", name)
		}
		w.groups[last].fields = append(w.groups[last].fields, field{name, alternatives})
	case "LAYOUT_END":
		if last < 0 || w.groups[last].name != name {
			return fmt.Errorf("LAYOUT_END(%s) ends no group of that name", name)
		}
	case "LAYOUT_CONSTANT":
		w.constants = append(w.constants, constant{name, alternatives})
	case "WAIT_REASON":
		w.reasons[source] = name
	default:
		return fmt.Errorf("unknown macro %s", macro)
	}
	return nil
}
