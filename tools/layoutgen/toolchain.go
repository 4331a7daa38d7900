package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A toolchain is an unpacked Go release for the machine that we run on.
type toolchain struct {
	goroot  string
	version string // "go1.27.4"
	minor   int
	patch   int // 0 for a release candidate
}

// releasePattern matches the version of a release or a release candidate, and finds its minor number and
// patch level.
var releasePattern = regexp.MustCompile(`^go1\.(\d+)(?:\.(\d+)|rc\d+|beta\d+)?$`)

// openToolchain opens a GOROOT folder, or a GOTOOLCHAIN name ("go1.22.0") that the local go fetches.
func openToolchain(arg string) (*toolchain, error) {
	goroot := arg
	if releasePattern.MatchString(arg) {
		cmd := exec.Command("go", "env", "GOROOT")
		cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+arg, "GOFLAGS=")
		out, err := output(cmd)
		if err != nil {
			return nil, err
		}
		goroot = strings.TrimSpace(out)
	}
	cmd := exec.Command(filepath.Join(goroot, "bin", "go"), "env", "GOVERSION")
	cmd.Env = buildEnv(goroot, "", "")
	out, err := output(cmd)
	if err != nil {
		return nil, err
	}
	version := strings.TrimSpace(out)
	m := releasePattern.FindStringSubmatch(version)
	if m == nil {
		return nil, fmt.Errorf("%s: %q is no release", arg, version)
	}
	if releasePattern.MatchString(arg) && version != arg {
		return nil, fmt.Errorf("asked for %s, got %s", arg, version)
	}
	t := &toolchain{goroot: goroot, version: version}
	if t.minor, err = strconv.Atoi(m[1]); err == nil && m[2] != "" {
		t.patch, err = strconv.Atoi(m[2])
	}
	return t, err
}

// A variant is what a build of the probe may differ in from the plain one.
type variant struct {
	experiment string // GOEXPERIMENT
	race       bool
}

// build builds the probe in dir for machine and returns the executable's path inside temp.
func (t *toolchain) build(dir, temp, machine string, v variant) (string, error) {
	path := filepath.Join(temp, "probe-"+t.version+"-"+machine)
	cmd := exec.Command(filepath.Join(t.goroot, "bin", "go"), "build", "-buildvcs=false",
		"-ldflags=-compressdwarf=false", "-o", path, ".")
	cmd.Dir = dir
	cmd.Env = buildEnv(t.goroot, machine, v.experiment)
	if v.race {
		cmd.Args = append(cmd.Args[:2:2], append([]string{"-race"}, cmd.Args[2:]...)...)
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	_, err := output(cmd)
	return path, err
}

// buildEnv is the environment without whatever could change what go builds.
func buildEnv(goroot, machine, experiment string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GO") || strings.HasPrefix(v, "GOPATH=") ||
			strings.HasPrefix(v, "GOCACHE=") || strings.HasPrefix(v, "GOMODCACHE=") {
			env = append(env, v)
		}
	}
	env = append(env, "GOROOT="+goroot, "GOTOOLCHAIN=local", "GOENV=off", "GOWORK=off", "GOOS=linux",
		"CGO_ENABLED=0", "GOEXPERIMENT="+experiment)
	if machine != "" {
		env = append(env, "GOARCH="+machine)
	}
	return env
}

// output runs cmd and returns what it printed; its complaints become the error.
func output(cmd *exec.Cmd) (string, error) {
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, complaints.String())
	}
	return string(out), nil
}
