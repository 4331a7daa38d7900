// Command layoutgen writes and checks src/layout/rows.inc, the facts about Go's runtime that change
// between releases, from real toolchains.
//
//	layoutgen [-write | -check | -table] [-root DIR] [-rows FILE] [-goexperiment LIST] [-race] TOOLCHAIN...
//
// A TOOLCHAIN is a GOROOT folder, a GOTOOLCHAIN name ("go1.22.0"), or "-" for the lines that
// tests/toolchains.sh prints, from standard input. Without a mode the rows go to standard output.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// options are the command line.
type options struct {
	write, check, table bool
	root, rows          string
	variant             variant
	toolchains          []string
}

// errDiffers says that a check found differences; they are printed already.
var errDiffers = errors.New("the rows differ from the toolchains")

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "layoutgen:", err)
		os.Exit(1)
	}
}

// run does what the command line asks for.
func run() error {
	o, err := parseOptions()
	if err != nil {
		return err
	}
	w, err := readDefs(filepath.Join(o.root, "src", "layout"))
	if err != nil {
		return err
	}
	if o.table {
		rows, err := parseRows(o.rows)
		if err == nil {
			fmt.Print(formatTable(w, rows))
		}
		return err
	}
	var made []*row
	for _, arg := range o.toolchains {
		t, err := openToolchain(arg)
		if err != nil {
			return err
		}
		for _, machine := range machines {
			if o.variant.race && machine != "amd64" {
				continue // cgo for another machine needs a compiler for it
			}
			r, err := makeRow(w, t, filepath.Join(o.root, "tools", "layoutgen", "probe"), machine, o.variant)
			if err != nil {
				return err
			}
			made = append(made, r)
		}
	}
	if o.check {
		return check(w, o, made)
	}
	return write(w, o, made)
}

// parseOptions reads the command line.
func parseOptions() (*options, error) {
	var o options
	flag.BoolVar(&o.write, "write", false, "write rows.inc and docs/runtime-layout.md; other rows stay")
	flag.BoolVar(&o.check, "check", false, "compare the toolchains with rows.inc and print each difference")
	flag.BoolVar(&o.table, "table", false, "print rows.inc as tables for a reader")
	flag.StringVar(&o.root, "root", "", "the repository (default: found from the working folder upwards)")
	flag.StringVar(&o.rows, "rows", "", "the rows to use instead of src/layout/rows.inc")
	flag.StringVar(&o.variant.experiment, "goexperiment", "", "build the probe with this GOEXPERIMENT")
	flag.BoolVar(&o.variant.race, "race", false, "build the probe with the race detector (and cgo), for amd64 alone")
	flag.Parse()
	if o.root == "" {
		dir, err := filepath.Abs(".")
		if err != nil {
			return nil, err
		}
		for o.root = dir; !exists(filepath.Join(o.root, "src", "layout", "fields.def")); o.root = filepath.Dir(o.root) {
			if o.root == filepath.Dir(o.root) {
				return nil, errors.New("not inside the repository; give -root")
			}
		}
	}
	if o.rows == "" {
		o.rows = filepath.Join(o.root, "src", "layout", "rows.inc")
	}
	for _, arg := range flag.Args() {
		if arg != "-" {
			o.toolchains = append(o.toolchains, arg)
			continue
		}
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			words := strings.Fields(lines.Text())
			if len(words) != 2 {
				return nil, fmt.Errorf("%q is not \"goX GOROOT\"", lines.Text())
			}
			o.toolchains = append(o.toolchains, words[1])
		}
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	if len(o.toolchains) == 0 && !o.table {
		return nil, errors.New("no toolchains given; see tests/toolchains.sh")
	}
	return &o, nil
}

// exists tells whether there is a file at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// check prints how the rows of rows.inc differ from those made from toolchains.
func check(w *wants, o *options, made []*row) error {
	rows, err := parseRows(o.rows)
	if err != nil {
		return err
	}
	differences := 0
	for _, found := range made {
		have := findRow(rows, found.minor, found.patch, found.machine)
		var lines []string
		if have == nil {
			lines = []string{fmt.Sprintf("%s/%s: no row", found.provenance, found.machine)}
		} else {
			lines = diffRows(w, have, found)
		}
		for _, line := range lines {
			fmt.Println(line)
		}
		if len(lines) == 0 {
			fmt.Printf("%s/%s: equals the row of %s\n", found.provenance, found.machine, have.provenance)
		}
		differences += len(lines)
	}
	if differences > 0 {
		return errDiffers
	}
	return nil
}

// write puts the made rows in the place of those of the same version and machine, and writes all.
func write(w *wants, o *options, made []*row) error {
	var old []*row
	if exists(o.rows) {
		var err error
		if old, err = parseRows(o.rows); err != nil {
			return err
		}
	}
	rows := merge(w, old, made)
	before := map[string]*row{}
	for _, r := range rows {
		for _, key := range w.keys() {
			if _, ok := r.values[key]; !ok {
				return fmt.Errorf("the row of %s has no %s: give that toolchain too", r.provenance, key)
			}
		}
		reportLost(w, before[r.machine], r)
		before[r.machine] = r
	}
	if !o.write {
		fmt.Print(formatRows(w, rows))
		return nil
	}
	if err := os.WriteFile(o.rows, []byte(formatRows(w, rows)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.root, "docs", "runtime-layout.md"), []byte(formatTable(w, rows)), 0o644)
}

// reportLost says which facts of the row before are absent in r: gone, or renamed and to be looked up.
func reportLost(w *wants, before, r *row) {
	if before == nil {
		return
	}
	for _, key := range w.keys() {
		if before.values[key] != absent && r.values[key] == absent {
			fmt.Fprintf(os.Stderr, "layoutgen: %s/%s has no %s any more (%s had)\n", r.provenance, r.machine, key,
				before.provenance)
		}
	}
}
