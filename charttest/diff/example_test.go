package diff_test

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/diff"
)

func parse(text string) []*unstructured.Unstructured {
	u := new(unstructured.Unstructured)
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		panic(err)
	}
	return []*unstructured.Unstructured{u}
}

func ExampleObjects() {
	before := parse(`{apiVersion: v1, kind: Service, metadata: {name: shop}, spec: {ports: [{name: http, port: 80}, {name: metrics, port: 9090}]}}`)
	after := parse(`{apiVersion: v1, kind: Service, metadata: {name: shop}, spec: {ports: [{name: metrics, port: 9090}, {name: http, port: 80, targetPort: web}]}}`)
	fmt.Print(diff.Objects(before, after))
	// Output:
	// ~ Service/shop
	//     spec.ports[port=80].targetPort: + web
}

// An upgrade of a chart must not change what Kubernetes holds immutable.
func ExampleRefused() {
	statefulSet := func(service string, class string) *appsv1.StatefulSet {
		return &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Name: "store"},
			Spec: appsv1.StatefulSetSpec{ServiceName: service, VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
				Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: &class},
			}}},
		}
	}
	for _, r := range diff.Refused(statefulSet("store", "slow"), statefulSet("store", "fast")) {
		fmt.Println(r.Object, r.Change())
		fmt.Println(r.Reason)
	}
	// Output:
	// StatefulSet/store spec.volumeClaimTemplates[name=data].spec.storageClassName: slow → fast
	// of a StatefulSet's spec nothing can change but replicas, ordinals, template, updateStrategy, revisionHistoryLimit, persistentVolumeClaimRetentionPolicy and minReadySeconds
}
