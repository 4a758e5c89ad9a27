// Package engine is the one place that knows Helm. It loads charts, merges
// values, validates them against schemas, renders templates and sorts the
// result, and it owes Helm v3 every byte of that result.
//
// Helm's own packages do what need be done once: reading charts, parsing --set
// forms, resolving dependencies. What is done for every render is done here, because Helm parses all templates and
// recompiles every schema each time and keeps its function map to itself:
//
//	Chart     a chart, loaded once (load.go)
//	Values    the values a user gave, merged once (values.go)
//	Release   name, namespace, capabilities and other circumstances (release.go)
//	program   one set of enabled subcharts, parsed once (program.go)
//	worker    a program being executed, with the state of that execution
//	Result    manifests, hooks and notes, in Helm's order (sort.go)
//
// What takes a network, charts and values behind URLs, is given from outside:
// package helmtemplate has Helm's clients for it, and package installed reads
// releases from clusters.
//
// Nothing of Helm appears in the exported API, so that moving to another major
// version of Helm changes this package alone.
package engine
