package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var updateUsage = flag.Bool("update-usage", false, "write the golden --help texts anew")

// The texts of --help are what people meet first: a change to them is one to look at.
func TestUsage(t *testing.T) {
	root, err := newCommand()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{""}
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	for _, name := range names {
		t.Run("local "+name, func(t *testing.T) {
			root, err := newCommand()
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			root.SetOut(&out)
			args := []string{"--help"}
			golden := filepath.Join("testdata", "usage.txt")
			if name != "" {
				args = []string{name, "--help"}
				golden = filepath.Join("testdata", "usage-"+name+".txt")
			}
			root.SetArgs(args)
			if err := root.Execute(); err != nil {
				t.Fatal(err)
			}
			for i, line := range bytes.Split(out.Bytes(), []byte("\n")) {
				if n := len([]rune(string(line))); n > 80 {
					t.Errorf("line %d has %d characters", i+1, n)
				}
			}
			if *updateUsage {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; write it with -update-usage", err)
			}
			if out.String() != string(want) {
				t.Errorf("--help is\n%s\nand %s says\n%s\n-update-usage writes it anew", &out, golden, want)
			}
		})
	}
}
