package dryrun_test

import (
	"context"
	"fmt"
	"log"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/dryrun"
)

// A rehearsal on the cluster of the kubeconfig: what it refuses, and what it
// would make of the rest.
func Example() {
	ctx := context.Background()
	config, err := dryrun.Config("", "") // or that of envtest
	if err != nil {
		log.Fatal(err)
	}
	cluster, err := dryrun.Connect(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	chart, err := charttest.Load("charts/shop")
	if err != nil {
		log.Fatal(err)
	}
	render, err := chart.Render(ctx, chart.Profile("production"), cluster.Profile())
	if err != nil {
		log.Fatal(err)
	}
	rehearsal, err := cluster.Rehearse(ctx, render, check.Cluster{PodSecurity: "restricted"})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range rehearsal.Findings {
		fmt.Println(f) // charts/shop/templates/web.yaml:12: Deployment/web: …
	}
	for _, u := range rehearsal.Unrehearsed {
		fmt.Println(u.Object, u.Reason)
	}
	deployment, err := dryrun.Defaulted[*appsv1.Deployment](rehearsal, "web")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(deployment.Spec.Strategy.Type) // RollingUpdate, though the chart doesn't say so
	pod, err := dryrun.Pod(rehearsal, "Deployment/web")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(*pod.Spec.Priority, pod.Spec.Tolerations) // as admission fills them in
}
