// Package dryrun rehearses a rendered chart on a real API server: every object
// is sent as a dry run, so that validation, defaulting, admission plugins,
// policies (CEL), webhooks and the rules of installed CRDs speak, and nothing
// is kept. Pods are rehearsed too, made of the templates of Deployments and
// their like: Pod Security and limits act on pods only, and a Deployment whose
// pods are all refused is itself accepted.
//
//	config, err := dryrun.Config("", "")           // as kubectl finds its cluster
//	s, err := dryrun.Connect(ctx, config)
//	r := chart.MustRender(t, chart.Profile("dev"), s.Profile())
//	rehearsal, err := s.Rehearse(ctx, r, check.Cluster{PodSecurity: "restricted"})
//	require.Empty(t, rehearsal.Findings)
//	set, err := dryrun.Defaulted[*appsv1.StatefulSet](rehearsal, "comfyui")
//
// A dry run needs the namespace to exist. So each rehearsal makes a throw-away
// namespace for those the chart would be installed in, with the Pod Security
// level that is declared, and deletes it in the end, also when its context is
// cancelled. What a killed process left is deleted by a later rehearsal. In it
// are made, for admission to see them, the ServiceAccounts (without annotations)
// and LimitRanges of the chart; nothing else is ever written.
//
// What is rehearsed is a first installation. Objects that the server has
// already, which are mostly of the cluster's scope, are applied over, still as
// a dry run; immutable fields show then.
package dryrun
