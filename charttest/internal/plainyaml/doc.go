// Package plainyaml reads and writes the plain part of YAML that charts are
// made of, an order of magnitude faster than a general implementation: block
// mappings and sequences, plain and quoted scalars on one line, literal
// blocks, and flow collections on one line. Whatever goes beyond (anchors,
// tags, folded text, duplicate keys, mistakes) it declines, and callers turn
// to sigs.k8s.io/yaml, which it must agree with in everything it accepts.
// Fuzz tests hold the two together.
package plainyaml
