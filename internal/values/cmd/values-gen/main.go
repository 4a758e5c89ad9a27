// Values-gen writes what is generated from the types of package values: the
// schemas of the chart and docs/values.md. Its argument is the repository's
// top directory; `go generate ./internal/values` gives it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/ai-film/ai-film/internal/values/reference"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: values-gen DIRECTORY, the top directory of the repository")
		os.Exit(2)
	}
	files, err := reference.Files(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "values-gen:", err)
		os.Exit(1)
	}
	for path, data := range files {
		if err := os.WriteFile(filepath.Join(os.Args[1], filepath.FromSlash(path)), data, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "values-gen:", err)
			os.Exit(1)
		}
	}
}
