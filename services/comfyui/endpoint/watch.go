package endpoint

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// Place is a ConfigMap in a cluster.
type Place struct {
	Client    corev1.CoreV1Interface
	Namespace string
	Name      string
}

// namespaceFile holds a pod's namespace, beside the token of its account.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Connect finds a ConfigMap in the cluster that this process runs in, or in that of KUBECONFIG; the namespace is
// POD_NAMESPACE, or else that of the process's pod. Nothing is asked yet.
func Connect(name string) (*Place, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, fmt.Errorf("no cluster to look for the ConfigMap %s in: %w", name, err)
	}
	config.UserAgent = "ai-film"
	klog.SetSlogLogger(slog.Default())
	client, err := corev1.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	namespace := os.Getenv("POD_NAMESPACE")
	if namespace == "" {
		text, err := os.ReadFile(namespaceFile)
		if err != nil {
			return nil, fmt.Errorf("POD_NAMESPACE is not set, and this process runs in no pod: %w", err)
		}
		namespace = strings.TrimSpace(string(text))
	}
	return &Place{client, namespace, name}, nil
}

// Watch tells now, and at each change until ctx ends, what the ConfigMap holds; one that is not there holds nothing. failed is
// told why the API server can't be asked; it is asked again.
func (p *Place) Watch(ctx context.Context, changed func(data map[string]string), failed func(error)) {
	for pause := time.Second; ctx.Err() == nil; {
		began := time.Now()
		err := p.follow(ctx, changed)
		if time.Since(began) > time.Minute {
			pause = time.Second
		}
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, 15*time.Second)
	}
}

// watchSeconds is how long one watch lasts: then everything is asked anew, should a change have been missed.
const watchSeconds = 300

// follow asks for the ConfigMap, and follows it until the watch ends.
func (p *Place) follow(ctx context.Context, changed func(map[string]string)) error {
	// One object by its name is all that the relay's Role lets it list and watch.
	byName := fields.OneTermEqualSelector("metadata.name", p.Name).String()
	list, err := p.Client.ConfigMaps(p.Namespace).List(ctx, meta.ListOptions{FieldSelector: byName})
	if err != nil {
		return err
	}
	var data map[string]string
	for _, m := range list.Items {
		data = m.Data
	}
	changed(data)
	seconds := int64(watchSeconds)
	watch, err := p.Client.ConfigMaps(p.Namespace).Watch(ctx, meta.ListOptions{FieldSelector: byName, ResourceVersion: list.ResourceVersion, TimeoutSeconds: &seconds})
	if err != nil {
		return err
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		switch m, is := event.Object.(*core.ConfigMap); {
		case !is:
			return errors.FromObject(event.Object)
		case event.Type == "DELETED":
			changed(nil)
		default:
			changed(m.Data)
		}
	}
	return nil
}
