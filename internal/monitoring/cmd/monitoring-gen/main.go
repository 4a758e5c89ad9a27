// Monitoring-gen writes what is generated from package monitoring: the rules, dashboards and inhibitions of the subchart
// monitoring, and the runbooks. Its argument is the repository's top directory; `go generate ./internal/monitoring` gives it.
package main

import (
	"fmt"
	"os"

	"github.com/ai-film/ai-film/internal/monitoring"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: monitoring-gen DIRECTORY, the top directory of the repository")
		os.Exit(2)
	}
	if err := monitoring.Write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "monitoring-gen:", err)
		os.Exit(1)
	}
}
