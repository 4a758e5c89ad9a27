package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHelpFitsATerminal(t *testing.T) {
	for _, args := range [][]string{{}, {"test"}, {"chaos"}, {"bench"}, {"deps"}} {
		root := newCommand(tasks{})
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(append(args, "--help"))
		require.NoError(t, root.Execute())
		for line := range bytes.Lines(out.Bytes()) {
			require.LessOrEqual(t, len([]rune(string(line))), 81, "%s", line)
		}
	}
}

func TestFindsTheCheckout(t *testing.T) {
	found, err := find()
	require.NoError(t, err)
	require.FileExists(t, found.repo+"/Makefile")
	t.Chdir(t.TempDir())
	_, err = find()
	require.ErrorContains(t, err, "change to the directory that has the Makefile")
}
