package unittest

import (
	"context"
	"maps"
	"path"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
)

// provider is the cluster that lookup asks: objects, and which resource an
// apiVersion and kind are.
type provider struct {
	Scheme  map[string]kindProperties `yaml:"scheme"`
	Objects []map[string]any          `yaml:"objects"`
}

type kindProperties struct {
	ShouldErr  error                       `yaml:"should_err"`
	GVR        schema.GroupVersionResource `yaml:"gvr"`
	Namespaced bool                        `yaml:"namespaced"`
}

// lookup answers as Helm's would in such a cluster.
func (p provider) lookup(apiVersion, kind, namespace, name string) (map[string]any, error) {
	of := p.Scheme[path.Join(apiVersion, kind)]
	if of.ShouldErr != nil {
		return map[string]any{}, of.ShouldErr
	}
	objects := make([]runtime.Object, len(p.Objects))
	for i, object := range p.Objects {
		// The client writes into what it is given, and these are shared by tests.
		objects[i] = &unstructured.Unstructured{Object: maps.Clone(object)}
	}
	resources := fake.NewSimpleDynamicClient(runtime.NewScheme(), objects...).Resource(of.GVR)
	var client dynamic.ResourceInterface = resources
	if of.Namespaced && namespace != "" {
		client = resources.Namespace(namespace)
	}
	var found runtime.Unstructured
	var err error
	if name != "" {
		found, err = client.Get(context.Background(), name, metav1.GetOptions{})
	} else {
		found, err = client.List(context.Background(), metav1.ListOptions{})
	}
	if apierrors.IsNotFound(err) {
		return map[string]any{}, nil
	}
	if err != nil {
		return map[string]any{}, err
	}
	return found.UnstructuredContent(), nil
}
