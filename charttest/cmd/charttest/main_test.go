package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var whole = flag.Bool("whole", false, "also ask other programs, built from their modules")

var updateUsage = flag.Bool("update-usage", false, "write the golden --help texts anew")

func TestUsage(t *testing.T) {
	for _, name := range []string{"init", "rehearse", "unittest", "verify"} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			root := newRoot()
			root.SetOut(&out)
			root.SetArgs([]string{name, "--help"})
			require.NoError(t, root.Execute())
			path := filepath.Join("testdata", "usage-"+name+".txt")
			if *updateUsage {
				require.NoError(t, os.WriteFile(path, out.Bytes(), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err, "write it with -update-usage")
			assert.Equal(t, string(want), out.String())
			for line := range strings.Lines(out.String()) {
				assert.LessOrEqual(t, utf8.RuneCountInString(line), columns+1, line)
			}
		})
	}
}
