package preflight

import (
	"bytes"
	"fmt"
	"os/exec"
)

func loadModule(name string) error {
	if out, err := exec.Command("modprobe", name).CombinedOutput(); err != nil {
		return fmt.Errorf("modprobe %s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
