package toolchain

import (
	"context"
	"os/exec"
	"regexp"
)

// Machine says when a program that is on the PATH already will do.
type Machine struct {
	Args    []string // that make it print its version
	Version string   // pattern of what it prints if the version fits; the first group is the version
	Wanted  string   // the versions that fit, for people
}

// find returns the path and the version of the machine's program, or nothing.
func (m *Machine) find(ctx context.Context, program string) (path, version string) {
	if m == nil {
		return "", ""
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", ""
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, m.Args...).Output()
	if err != nil {
		return "", ""
	}
	found := regexp.MustCompile(m.Version).FindSubmatch(out)
	if found == nil {
		return "", ""
	}
	return path, string(found[1])
}
