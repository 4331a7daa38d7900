package main

import (
	"fmt"
	"os"
	"strings"
)

// absent is LAYOUT_ABSENT.
const absent = -1

// machines are the values of GOARCH that have rows, in the order of enum layout_machine.
var machines = []string{"amd64", "arm64"}

// A row is one struct layout: of the patch level that it was made from, and of those after it up to the
// next row. values is keyed by C name: "g.size", "g.stack_lo", "func_id_wrapper".
type row struct {
	minor      int
	patch      int
	machine    string
	provenance string
	values     map[string]int32
	reasons    []string // our names by g.waitreason
}

// keys lists the names of a row's values in the order of the .def files.
func (w *wants) keys() []string {
	var keys []string
	for _, g := range w.groups {
		keys = append(keys, g.name+".size")
		for _, f := range g.fields {
			keys = append(keys, g.name+"."+f.name)
		}
	}
	for _, c := range w.constants {
		keys = append(keys, c.name)
	}
	return keys
}

// makeRow builds the probe with t for machine and reads the row from it.
func makeRow(w *wants, t *toolchain, probeDir, machine string, v variant) (*row, error) {
	temp, err := os.MkdirTemp("", "layoutgen")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	path, err := t.build(probeDir, temp, machine, v)
	if err != nil {
		return nil, err
	}
	p, err := openProbe(path)
	if err != nil {
		return nil, err
	}
	defer p.file.Close()
	r := &row{t.minor, t.patch, machine, t.version, map[string]int32{}, nil}
	for _, g := range w.groups {
		if err := r.addGroup(p, g); err != nil {
			return nil, err
		}
	}
	source := newConstSource(t.goroot, machine, t.minor)
	for _, c := range w.constants {
		if r.values[c.name], err = evalConstant(p, source, c); err != nil {
			return nil, err
		}
	}
	return r, r.addReasons(p, w)
}

// addGroup fills in the size and the offsets of one group, all absent when the program has no such type.
func (r *row) addGroup(p *probe, g group) error {
	for _, name := range g.types {
		s, err := p.structType(name)
		if err != nil {
			return err
		}
		if s == nil {
			continue
		}
		r.values[g.name+".size"] = int32(s.ByteSize)
		for _, f := range g.fields {
			if r.values[g.name+"."+f.name], err = resolve(s, f); err != nil {
				return err
			}
		}
		return nil
	}
	r.values[g.name+".size"] = absent
	for _, f := range g.fields {
		r.values[g.name+"."+f.name] = absent
	}
	return nil
}

// evalConstant evaluates the first source of c that the release has.
func evalConstant(p *probe, source *constSource, c constant) (int32, error) {
	for _, s := range c.sources {
		var value int64
		var ok bool
		var err error
		if strings.HasPrefix(s, "sizeof ") && strings.HasSuffix(s, "[0]") {
			value, ok, err = p.elementSize(strings.TrimSuffix(strings.TrimPrefix(s, "sizeof "), "[0]"))
		} else {
			value, ok, err = source.value(s)
		}
		if err != nil {
			return 0, err
		}
		if ok && int64(int32(value)) != value {
			return 0, fmt.Errorf("%s does not fit 32 bits", s)
		}
		if ok {
			return int32(value), nil
		}
	}
	return absent, nil
}

// addReasons reads the release's table of wait reasons. A text that wait_reasons.def does not know is an
// error: the new reason needs a name there.
func (r *row) addReasons(p *probe, w *wants) error {
	texts, err := p.stringArray("runtime.waitReasonStrings")
	if err != nil {
		return err
	}
	if len(texts) == 0 || len(texts) > 256 {
		return fmt.Errorf("%s has %d wait reasons", r.provenance, len(texts))
	}
	for i, text := range texts {
		name, ok := w.reasons[text]
		if !ok {
			return fmt.Errorf("%s: wait reason %d is %q: add it at the end of wait_reasons.def",
				r.provenance, i, text)
		}
		r.reasons = append(r.reasons, name)
	}
	return nil
}
