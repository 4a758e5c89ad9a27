package cluster

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/ai-film/ai-film/local/internal/controlplane"
	"github.com/ai-film/ai-film/local/internal/node"
	"github.com/ai-film/ai-film/local/internal/preflight"
)

// check looks at the machine before anything is changed, and reports all that is wrong at once.
func (l *Local) check() error {
	if err := preflight.Root(); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(l.Places.Cache, "tools"))
	failures := []error{preflight.Kernel(), preflight.Disk(err != nil, l.Places.Cache, l.Places.State)}
	running := l.Running()
	if len(running) == 0 {
		failures = append(failures, preflight.Memory())
	}
	return errors.Join(append(failures, preflight.Ports(l.missingPorts(running)))...)
}

// missingPorts are the ports of the components that don't run yet; a running one holds its own.
func (l *Local) missingPorts(running map[string]int) []preflight.Listener {
	wanted := []preflight.Listener{{Component: "kube-apiserver", IP: "0.0.0.0", Port: l.APIPort,
		Remedy: "choose another one with AI_FILM_API_PORT"}}
	for port, component := range controlplane.Ports {
		wanted = append(wanted, preflight.Listener{Component: component, IP: "127.0.0.1", Port: port})
	}
	for port, component := range node.Ports {
		wanted = append(wanted, preflight.Listener{Component: component, IP: "127.0.0.1", Port: port})
	}
	if len(l.node().Shims()) == 0 { // no containers: whoever holds it is not our ingress
		wanted = append(wanted, preflight.Listener{Component: "the ingress", IP: l.IngressIP, Port: l.IngressPort,
			Remedy: "choose another one with INGRESS_PORT=8080"})
	}
	var missing []preflight.Listener
	for _, w := range wanted {
		if running[w.Component] == 0 {
			missing = append(missing, w)
		}
	}
	return missing
}
