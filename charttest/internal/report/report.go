// Package report has what the reports of verify and rehearse have in common.
package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ai-film/ai-film/charttest/check"
)

// Place is a finding's file and line, from the working directory.
func Place(f check.Finding) string {
	if f.Line == 0 {
		return Relative(f.File)
	}
	return fmt.Sprintf("%s:%d", Relative(f.File), f.Line)
}

// Relative is a path from the working directory, if it lies below.
func Relative(path string) string {
	dir, err := os.Getwd()
	if err != nil || !filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	if rel, err := filepath.Rel(dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}

// XML writes v as a document of its own, indented.
func XML(w io.Writer, v any) error {
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
