package rehearse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/internal/controlplane"
)

// programs that make a cluster without a machine.
var programs = []string{controlplane.Etcd, controlplane.APIServer, controlplane.ControllerManager, controlplane.Scheduler, controlplane.Kwok}

// cluster is a control plane of one's own with simulated nodes.
type cluster struct {
	*watcher
	plane      *controlplane.ControlPlane
	config     *rest.Config
	kubeconfig string // file
	client     kubernetes.Interface
	dynamic    dynamic.Interface
	pools      []pool
	classes    []check.StorageClass
	metrics    *metrics

	cancel  context.CancelFunc
	working sync.WaitGroup
	failed  chan error // of what goes on beside
}

// newCluster starts a control plane with the nodes and classes of what is known
// of a cluster. Close ends it.
func newCluster(ctx context.Context, paths controlplane.Programs, known check.Cluster, declared []string) (*cluster, error) {
	plane, err := controlplane.Start(ctx, paths, "--enable-aggregator-routing=false",
		"--default-not-ready-toleration-seconds=1", "--default-unreachable-toleration-seconds=1")
	if err != nil {
		return nil, err
	}
	// Its own context: what was begun is ended in order, also after Ctrl-C.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &cluster{plane: plane, cancel: cancel, failed: make(chan error, 1), pools: pools(known.Nodes)}
	c.classes = classesOf(known, c.pools)
	if err := c.start(ctx, own, declared); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *cluster) start(ctx, own context.Context, declared []string) (err error) {
	c.config = c.plane.Config
	if c.kubeconfig, err = c.plane.Kubeconfig(); err != nil {
		return err
	}
	if err := c.plane.Controllers("--node-monitor-period=1s", "--horizontal-pod-autoscaler-sync-period=1s", "--horizontal-pod-autoscaler-downscale-stabilization=0s",
		"--horizontal-pod-autoscaler-initial-readiness-delay=0s", "--horizontal-pod-autoscaler-cpu-initialization-period=0s"); err != nil {
		return err
	}
	if err := c.plane.Simulate(c.kubeconfig); err != nil {
		return err
	}
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		return err
	}
	if c.dynamic, err = dynamic.NewForConfig(c.config); err != nil {
		return err
	}
	for _, class := range c.classes {
		if _, err := c.client.StorageV1().StorageClasses().Create(ctx, storageClass(class), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	if _, err := c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: canaries}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if c.watcher, err = newWatcher(own, c.client, c.played(own)); err != nil {
		return err
	}
	for _, p := range c.pools {
		for range p.min {
			if err := c.addNode(ctx, p); err != nil {
				return err
			}
		}
	}
	external := slices.ContainsFunc(declared, func(v string) bool { return strings.HasPrefix(v, "external.metrics.k8s.io/") })
	if c.metrics, err = newMetrics(c.watcher, external); err != nil {
		return err
	}
	if err := c.metrics.register(ctx, c); err != nil {
		return err
	}
	if err := c.await(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(c.pools, func(p pool) bool { return p.grows }) {
		c.working.Go(func() { c.scaling(own) })
	}
	return nil
}

// scaling lets the pools grow and shrink with every change.
func (c *cluster) scaling(ctx context.Context) {
	for {
		_, changed := c.since()
		if err := c.scale(ctx); err != nil && ctx.Err() == nil {
			c.fail(fmt.Errorf("scale a pool: %w", err))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// fail says that something beside can't go on.
func (c *cluster) fail(err error) {
	select {
	case c.failed <- err:
	default:
	}
}

// await the nodes, the accounts that pods need, and the metrics.
func (c *cluster) await(ctx context.Context) error {
	return c.until(ctx, func() bool {
		for _, n := range c.nodes() {
			if !ready(n) {
				return false
			}
		}
		_, err := c.client.CoreV1().ServiceAccounts(canaries).Get(ctx, "default", metav1.GetOptions{})
		if err != nil {
			return false
		}
		_, err = c.client.Discovery().ServerResourcesForGroupVersion("metrics.k8s.io/v1beta1")
		return err == nil
	})
}

// played plays the provisioner of volumes.
func (c *cluster) played(ctx context.Context) func(any) {
	todo := make(chan any, 1024)
	c.working.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case o := <-todo:
				var err error
				switch o := o.(type) {
				case *corev1.PersistentVolumeClaim:
					err = c.provision(ctx, o)
				case *corev1.PersistentVolume:
					err = c.reclaim(ctx, o)
				}
				if err != nil && ctx.Err() == nil {
					c.fail(fmt.Errorf("provide volumes: %w", err))
				}
			}
		}
	})
	return func(o any) {
		select {
		case todo <- o:
		case <-ctx.Done():
		}
	}
}

// Close ends the control plane and all that goes on beside.
func (c *cluster) Close() {
	c.cancel()
	if c.metrics != nil {
		c.metrics.stop()
	}
	c.working.Wait()
	c.plane.Stop()
	if c.watcher != nil {
		c.factory.Shutdown()
	}
}

// broken is why nothing can be said any more, or nil.
func (c *cluster) broken() error {
	select {
	case err := <-c.failed:
		return err
	default:
		return c.plane.Failed()
	}
}

// until waits for something that comes of itself, however long it takes, as long
// as the programs run.
func (c *cluster) until(ctx context.Context, holds func() bool) error {
	for !holds() {
		if err := c.broken(); err != nil {
			return err
		}
		if err := pause(ctx, pausing); err != nil {
			return err
		}
	}
	return nil
}

// furnish makes what the release needs of others: its namespace, the objects
// that are declared to be there, and definitions of the kinds that are.
func (c *cluster) furnish(ctx context.Context, r *charttest.Render, known check.Cluster, declared []string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.Profile.Namespace, Labels: map[string]string{}}}
	if known.PodSecurity != "" {
		namespace.Labels["pod-security.kubernetes.io/enforce"] = known.PodSecurity
	}
	if _, err := c.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := c.until(ctx, func() bool {
		_, err := c.client.CoreV1().ServiceAccounts(namespace.Name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	}); err != nil {
		return err
	}
	for _, external := range known.External {
		kind, name, _ := strings.Cut(external, "/")
		if strings.ContainsAny(external, "*?[") {
			continue
		}
		if err := c.external(ctx, namespace.Name, kind, name); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make %s, which others make: %w", external, err)
		}
	}
	return c.define(ctx, r, declared)
}

// external makes an object that others make, with nothing in it that matters.
func (c *cluster) external(ctx context.Context, namespace, kind, name string) error {
	at, create := metav1.ObjectMeta{Name: name}, metav1.CreateOptions{}
	var err error
	switch kind {
	case "Secret":
		_, err = c.client.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{ObjectMeta: at}, create)
	case "ConfigMap":
		_, err = c.client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: at}, create)
	case "ServiceAccount":
		_, err = c.client.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: at}, create)
	case "PersistentVolumeClaim":
		_, err = c.client.CoreV1().PersistentVolumeClaims(namespace).Create(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: at, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: single[:1],
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		}}, create)
	case "RuntimeClass":
		_, err = c.client.NodeV1().RuntimeClasses().Create(ctx, &nodev1.RuntimeClass{ObjectMeta: at, Handler: name}, create)
	case "PriorityClass":
		_, err = c.client.SchedulingV1().PriorityClasses().Create(ctx, &schedulingv1.PriorityClass{ObjectMeta: at, Value: 1000}, create)
	case "IngressClass":
		_, err = c.client.NetworkingV1().IngressClasses().Create(ctx, &networkingv1.IngressClass{ObjectMeta: at, Spec: networkingv1.IngressClassSpec{Controller: "example.com/" + name}}, create)
	}
	return err
}

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// define makes the kinds that the cluster is declared to have, and that the
// chart makes objects of, with any content.
func (c *cluster) define(ctx context.Context, r *charttest.Render, declared []string) error {
	type named struct{ group, kind string }
	made := map[named][]string{}
	brought := map[string]bool{}
	for _, o := range r.Objects {
		if o.Kind == "CustomResourceDefinition" {
			kind, _, _ := unstructured.NestedString(o.Content(), "spec", "names", "kind")
			brought[kind] = true
		}
	}
	for _, o := range r.Objects {
		gv, err := schema.ParseGroupVersion(o.APIVersion)
		if err != nil || !strings.Contains(gv.Group, ".") || brought[o.Kind] ||
			!slices.Contains(declared, o.APIVersion) && !slices.Contains(declared, o.APIVersion+"/"+o.Kind) {
			continue
		}
		if _, err := c.client.Discovery().ServerResourcesForGroupVersion(o.APIVersion); err == nil {
			continue
		} else if !apierrors.IsNotFound(err) {
			return err
		}
		key := named{gv.Group, o.Kind}
		if !slices.Contains(made[key], gv.Version) {
			made[key] = append(made[key], gv.Version)
		}
	}
	for key, versions := range made {
		plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: key.group, Version: versions[0], Kind: key.kind})
		var list []any
		for i, v := range versions {
			list = append(list, map[string]any{"name": v, "served": true, "storage": i == 0,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
		}
		annotations := map[string]any{}
		if strings.HasSuffix(key.group, ".k8s.io") {
			annotations["api-approved.kubernetes.io"] = "unapproved, of a rehearsal"
		}
		_, err := c.dynamic.Resource(definitions).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": plural.Resource + "." + key.group, "annotations": annotations},
			"spec": map[string]any{"group": key.group, "scope": "Namespaced", "versions": list,
				"names": map[string]any{"kind": key.kind, "plural": plural.Resource, "singular": strings.ToLower(key.kind)}},
		}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		if err := c.until(ctx, func() bool {
			for _, v := range versions {
				list, err := c.client.Discovery().ServerResourcesForGroupVersion(key.group + "/" + v)
				if err != nil || !slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Kind == key.kind }) {
					return false
				}
			}
			return true
		}); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
