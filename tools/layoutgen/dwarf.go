package main

import (
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"
)

// A probe is a built probe program, opened for its types and symbols.
type probe struct {
	file  *elf.File
	data  *dwarf.Data
	types map[string]dwarf.Offset // struct types by name
	vars  map[string]dwarf.Offset // types of package variables by name
}

// openProbe opens the executable at path and lists its types.
func openProbe(path string) (*probe, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := file.DWARF()
	if err != nil {
		file.Close()
		return nil, err
	}
	p := &probe{file, data, map[string]dwarf.Offset{}, map[string]dwarf.Offset{}}
	if err := p.list(); err != nil {
		file.Close()
		return nil, err
	}
	return p, nil
}

// list fills types and vars.
func (p *probe) list() error {
	reader := p.data.Reader()
	for {
		entry, err := reader.Next()
		if err != nil || entry == nil {
			return err
		}
		name, named := entry.Val(dwarf.AttrName).(string)
		switch entry.Tag {
		case dwarf.TagStructType:
			if named {
				p.types[name] = entry.Offset
			}
		case dwarf.TagVariable:
			if offset, typed := entry.Val(dwarf.AttrType).(dwarf.Offset); named && typed {
				p.vars[name] = offset
			}
		case dwarf.TagSubprogram:
			reader.SkipChildren()
		}
	}
}

// structType returns the struct type of that name, or nil when the program has none.
func (p *probe) structType(name string) (*dwarf.StructType, error) {
	offset, ok := p.types[name]
	if !ok {
		return nil, nil
	}
	t, err := p.data.Type(offset)
	if err != nil {
		return nil, err
	}
	s, ok := t.(*dwarf.StructType)
	if !ok {
		return nil, fmt.Errorf("%s is a %T", name, t)
	}
	return s, nil
}

// elementSize returns the distance of two elements of the array variable of that name.
func (p *probe) elementSize(variable string) (int64, bool, error) {
	offset, ok := p.vars[variable]
	if !ok {
		return 0, false, nil
	}
	t, err := p.data.Type(offset)
	if err != nil {
		return 0, false, err
	}
	array, ok := underlying(t).(*dwarf.ArrayType)
	if !ok {
		return 0, false, fmt.Errorf("%s is a %T, not an array", variable, t)
	}
	return array.Type.Size(), true, nil
}

// underlying strips typedefs.
func underlying(t dwarf.Type) dwarf.Type {
	for {
		def, ok := t.(*dwarf.TypedefType)
		if !ok {
			return t
		}
		t = def.Type
	}
}

// lookup returns the offset of the field at path ("sched.sp") in s, and the field's type.
func lookup(s *dwarf.StructType, path string) (int64, dwarf.Type, bool) {
	var offset int64
	var t dwarf.Type = s
	for _, name := range strings.Split(path, ".") {
		in, ok := underlying(t).(*dwarf.StructType)
		if !ok {
			return 0, nil, false
		}
		var found *dwarf.StructField
		for _, f := range in.Field {
			if f.Name == name {
				found = f
			}
		}
		if found == nil {
			return 0, nil, false
		}
		offset += found.ByteOffset
		t = found.Type
	}
	return offset, t, true
}

// resolve returns the offset that the first matching path of f has in s, or absent. A path that is the
// beginning of an earlier alternative ("elem" after "elem.vu") means the field when it had no parts; it
// is an error when it has parts that none of the alternatives names.
func resolve(s *dwarf.StructType, f field) (int32, error) {
	for i, path := range f.paths {
		offset, t, ok := lookup(s, path)
		if !ok {
			continue
		}
		_, parts := underlying(t).(*dwarf.StructType)
		for _, earlier := range f.paths[:i] {
			if parts && strings.HasPrefix(earlier, path+".") {
				return 0, fmt.Errorf("%s.%s is now a %s: name its part", s.StructName, path, t)
			}
		}
		return int32(offset), nil
	}
	return absent, nil
}

// stringArray reads the array of Go strings at the symbol of that name.
func (p *probe) stringArray(symbol string) ([]string, error) {
	symbols, err := p.file.Symbols()
	if err != nil {
		return nil, err
	}
	for _, s := range symbols {
		if s.Name != symbol {
			continue
		}
		headers, err := p.read(s.Value, s.Size)
		if err != nil {
			return nil, err
		}
		var texts []string
		for ; len(headers) >= 16; headers = headers[16:] {
			text, err := p.read(binary.LittleEndian.Uint64(headers), binary.LittleEndian.Uint64(headers[8:]))
			if err != nil {
				return nil, err
			}
			texts = append(texts, string(text))
		}
		return texts, nil
	}
	return nil, fmt.Errorf("no symbol %s", symbol)
}

// read returns size bytes of the program's memory image at address.
func (p *probe) read(address, size uint64) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	for _, prog := range p.file.Progs {
		if prog.Type == elf.PT_LOAD && address >= prog.Vaddr && size <= prog.Filesz &&
			address-prog.Vaddr <= prog.Filesz-size {
			bytes := make([]byte, size)
			_, err := prog.ReadAt(bytes, int64(address-prog.Vaddr))
			return bytes, err
		}
	}
	return nil, fmt.Errorf("no bytes at %#x", address)
}
