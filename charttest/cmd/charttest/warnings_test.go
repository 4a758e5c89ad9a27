package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest/internal/testfiles"
	"github.com/ai-film/ai-film/charttest/internal/upstream"
)

// position is where Helm's own source logs a line.
var position = regexp.MustCompile(`^[a-z_]+\.go:\d+: `)

// What Helm says on standard error of values and hooks, so does render, but
// for the line of Helm's source.
func TestRenderWarnsAsHelmDoes(t *testing.T) {
	helm := upstream.Helm(t, 3)
	dir := t.TempDir()
	testfiles.Write(t, dir, map[string]string{
		"Chart.yaml":            "apiVersion: v2\nname: toy\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.0.0}]\n",
		"values.yaml":           "port: 80\nweb:\n  port: {http: 80}\nsub:\n  tls: 1\n",
		"templates/a.yaml":      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {helm.sh/hook: \"post-install, pre-uninstall\"}\n",
		"templates/b.yaml":      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n",
		"charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n", "charts/sub/values.yaml": "tls: {a: b}\n",
	})
	for _, args := range [][]string{{}, {"--set", "port.http=80"}, {"--set", "web.port=80"}, {"--set", "global=x"}} {
		args := append([]string{"template", "x", dir}, args...)
		cmd := exec.Command(helm, args...)
		var want bytes.Buffer
		cmd.Stderr = &want
		_ = cmd.Run()

		read, write, err := os.Pipe()
		require.NoError(t, err)
		stderr := os.Stderr
		os.Stderr = write
		root := newRoot()
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		root.SetArgs(append([]string{"render"}, args[1:]...))
		_ = root.Execute()
		os.Stderr = stderr
		require.NoError(t, write.Close())
		have, err := io.ReadAll(read)
		require.NoError(t, err)
		require.Equal(t, said(want.String()), said(string(have)), "%v", args[3:])
	}
}

// said are the lines that warn, each once and in the order of the alphabet.
func said(text string) []string {
	var all []string
	for _, line := range strings.Split(text, "\n") {
		if line = position.ReplaceAllString(line, ""); strings.HasPrefix(line, "warning:") || strings.HasPrefix(line, "info:") || strings.HasPrefix(line, "Conflict:") {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
