package validation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/internal/envtest"
)

// kind is a kind to try every field of.
type kind struct {
	path string // of its collection
	new  func() runtime.Object
	base string   // an object that the server takes
	skip []string // prefixes of fields that are tried with another kind
}

const template = `{metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "app:1"}], volumes: [{name: data, emptyDir: {}}]}}`

var kinds = []kind{
	{path: "/apis/apps/v1/namespaces/default/deployments", new: func() runtime.Object { return &appsv1.Deployment{} },
		base: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {selector: {matchLabels: {app: web}}, template: " + template + "}"},
	{path: "/apis/apps/v1/namespaces/default/statefulsets", new: func() runtime.Object { return &appsv1.StatefulSet{} }, skip: []string{"spec.template.spec"},
		base: "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: web}\nspec: {serviceName: web, selector: {matchLabels: {app: web}}, template: " + template + "}"},
	{path: "/apis/apps/v1/namespaces/default/daemonsets", new: func() runtime.Object { return &appsv1.DaemonSet{} }, skip: []string{"spec.template.spec"},
		base: "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: web}\nspec: {selector: {matchLabels: {app: web}}, template: " + template + "}"},
	{path: "/apis/apps/v1/namespaces/default/replicasets", new: func() runtime.Object { return &appsv1.ReplicaSet{} }, skip: []string{"spec.template.spec"},
		base: "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\nspec: {selector: {matchLabels: {app: web}}, template: " + template + "}"},
	{path: "/apis/batch/v1/namespaces/default/jobs", new: func() runtime.Object { return &batchv1.Job{} }, skip: []string{"spec.template.spec"},
		base: "apiVersion: batch/v1\nkind: Job\nmetadata: {name: web}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: \"app:1\"}]}}}"},
	{path: "/apis/batch/v1/namespaces/default/cronjobs", new: func() runtime.Object { return &batchv1.CronJob{} }, skip: []string{"spec.jobTemplate.spec.template.spec"},
		base: "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: web}\nspec: {schedule: \"* * * * *\", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: \"app:1\"}]}}}}}"},
	{path: "/api/v1/namespaces/default/pods", new: func() runtime.Object { return &corev1.Pod{} }, skip: []string{"spec.containers", "spec.initContainers", "spec.volumes"},
		base: "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: app, image: \"app:1\"}], volumes: [{name: data, emptyDir: {}}]}"},
	{path: "/api/v1/namespaces/default/services", new: func() runtime.Object { return &corev1.Service{} },
		base: "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}"},
	{path: "/api/v1/namespaces/default/configmaps", new: func() runtime.Object { return &corev1.ConfigMap{} },
		base: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}"},
	{path: "/api/v1/namespaces/default/secrets", new: func() runtime.Object { return &corev1.Secret{} },
		base: "apiVersion: v1\nkind: Secret\nmetadata: {name: web}"},
	{path: "/api/v1/namespaces/default/serviceaccounts", new: func() runtime.Object { return &corev1.ServiceAccount{} },
		base: "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}"},
	{path: "/api/v1/namespaces/default/persistentvolumeclaims", new: func() runtime.Object { return &corev1.PersistentVolumeClaim{} },
		base: "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: web}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"},
	{path: "/api/v1/persistentvolumes", new: func() runtime.Object { return &corev1.PersistentVolume{} },
		base: "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: web}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, hostPath: {path: /a}}"},
	{path: "/api/v1/namespaces", new: func() runtime.Object { return &corev1.Namespace{} },
		base: "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}"},
	{path: "/api/v1/namespaces/default/limitranges", new: func() runtime.Object { return &corev1.LimitRange{} },
		base: "apiVersion: v1\nkind: LimitRange\nmetadata: {name: web}\nspec: {limits: [{type: Container}]}"},
	{path: "/api/v1/namespaces/default/resourcequotas", new: func() runtime.Object { return &corev1.ResourceQuota{} },
		base: "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: web}\nspec: {hard: {pods: 1}}"},
	{path: "/apis/policy/v1/namespaces/default/poddisruptionbudgets", new: func() runtime.Object { return &policyv1.PodDisruptionBudget{} },
		base: "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec: {selector: {matchLabels: {app: web}}}"},
	{path: "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", new: func() runtime.Object { return &autoscalingv2.HorizontalPodAutoscaler{} },
		base: "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {maxReplicas: 3, scaleTargetRef: {kind: Deployment, name: web, apiVersion: apps/v1}}"},
	{path: "/apis/networking.k8s.io/v1/namespaces/default/ingresses", new: func() runtime.Object { return &networkingv1.Ingress{} },
		base: "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {defaultBackend: {service: {name: web, port: {number: 80}}}}"},
	{path: "/apis/networking.k8s.io/v1/ingressclasses", new: func() runtime.Object { return &networkingv1.IngressClass{} },
		base: "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: web}\nspec: {controller: a.b/c}"},
	{path: "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", new: func() runtime.Object { return &networkingv1.NetworkPolicy{} },
		base: "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web}\nspec: {podSelector: {}}"},
	{path: "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", new: func() runtime.Object { return &rbacv1.Role{} },
		base: "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: web}\nrules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]"},
	{path: "/apis/rbac.authorization.k8s.io/v1/clusterroles", new: func() runtime.Object { return &rbacv1.ClusterRole{} },
		base: "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: web}\nrules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]"},
	{path: "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", new: func() runtime.Object { return &rbacv1.RoleBinding{} },
		base: "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: web}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: web}\nsubjects: [{kind: ServiceAccount, name: web, namespace: default}]"},
	{path: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", new: func() runtime.Object { return &rbacv1.ClusterRoleBinding{} },
		base: "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: web}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: web}\nsubjects: [{kind: ServiceAccount, name: web, namespace: default}]"},
	{path: "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", new: func() runtime.Object { return &admissionv1.ValidatingWebhookConfiguration{} },
		base: "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: web}\nwebhooks: [{name: a.b.c, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {service: {name: web, namespace: default}}, rules: [{operations: [CREATE], apiGroups: [\"\"], apiVersions: [v1], resources: [pods]}]}]"},
	{path: "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", new: func() runtime.Object { return &admissionv1.MutatingWebhookConfiguration{} },
		base: "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: web}\nwebhooks: [{name: a.b.c, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {service: {name: web, namespace: default}}}]"},
	{path: "/apis/node.k8s.io/v1/runtimeclasses", new: func() runtime.Object { return &nodev1.RuntimeClass{} },
		base: "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: web}\nhandler: web"},
	{path: "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", new: func() runtime.Object { return &discoveryv1.EndpointSlice{} },
		base: "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web}\naddressType: IPv4\nendpoints: [{addresses: [10.0.0.1]}]\nports: [{port: 80}]"},
	{path: "/api/v1/namespaces/default/endpoints", new: func() runtime.Object { return &corev1.Endpoints{} },
		base: "apiVersion: v1\nkind: Endpoints\nmetadata: {name: web}\nsubsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]"},
	{path: "/apis/coordination.k8s.io/v1/namespaces/default/leases", new: func() runtime.Object { return &coordinationv1.Lease{} },
		base: "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: web}\nspec: {}"},
	{path: "/apis/storage.k8s.io/v1/csidrivers", new: func() runtime.Object { return &storagev1.CSIDriver{} },
		base: "apiVersion: storage.k8s.io/v1\nkind: CSIDriver\nmetadata: {name: web}\nspec: {}"},
	{path: "/api/v1/namespaces/default/replicationcontrollers", new: func() runtime.Object { return &corev1.ReplicationController{} }, skip: []string{"spec.template.spec"},
		base: "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: web}\nspec: {selector: {app: web}, template: " + template + "}"},
	{path: "/api/v1/namespaces/default/podtemplates", new: func() runtime.Object { return &corev1.PodTemplate{} }, skip: []string{"template.spec"},
		base: "apiVersion: v1\nkind: PodTemplate\nmetadata: {name: web}\ntemplate: " + template},
	{path: "/apis/scheduling.k8s.io/v1/priorityclasses", new: func() runtime.Object { return &schedulingv1.PriorityClass{} },
		base: "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: web}\nvalue: 10"},
	{path: "/apis/storage.k8s.io/v1/storageclasses", new: func() runtime.Object { return &storagev1.StorageClass{} },
		base: "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: web}\nprovisioner: a.b/c"},
}

// variant is an object with one field out of the ordinary.
type variant struct {
	what string
	data []byte
}

// fill is what an element is given so that it lacks nothing but what is tried.
var fill = map[reflect.Type]map[string]any{
	reflect.TypeFor[corev1.Container]():                {"name": "two", "image": "two:1"},
	reflect.TypeFor[corev1.Volume]():                   {"name": "vol"},
	reflect.TypeFor[corev1.EnvVar]():                   {"name": "A"},
	reflect.TypeFor[corev1.ContainerPort]():            {"containerPort": 80},
	reflect.TypeFor[corev1.VolumeMount]():              {"name": "data", "mountPath": "/data"},
	reflect.TypeFor[corev1.VolumeDevice]():             {"name": "data", "devicePath": "/dev/a"},
	reflect.TypeFor[corev1.HTTPGetAction]():            {"port": 80},
	reflect.TypeFor[corev1.TCPSocketAction]():          {"port": 80},
	reflect.TypeFor[corev1.GRPCAction]():               {"port": 80},
	reflect.TypeFor[corev1.ExecAction]():               {"command": []any{"a"}},
	reflect.TypeFor[corev1.Probe]():                    {"exec": map[string]any{"command": []any{"a"}}},
	reflect.TypeFor[corev1.KeyToPath]():                {"key": "a", "path": "a"},
	reflect.TypeFor[corev1.SecretKeySelector]():        {"name": "a", "key": "a"},
	reflect.TypeFor[corev1.ConfigMapKeySelector]():     {"name": "a", "key": "a"},
	reflect.TypeFor[corev1.ObjectFieldSelector]():      {"fieldPath": "metadata.name"},
	reflect.TypeFor[corev1.NodeSelectorRequirement]():  {"key": "a", "operator": "Exists"},
	reflect.TypeFor[metav1.LabelSelectorRequirement](): {"key": "a", "operator": "Exists"},
	reflect.TypeFor[corev1.PodAffinityTerm]():          {"topologyKey": "a"},
	reflect.TypeFor[corev1.WeightedPodAffinityTerm]():  {"weight": 1},
	reflect.TypeFor[corev1.PreferredSchedulingTerm]():  {"weight": 1},
	reflect.TypeFor[corev1.TopologySpreadConstraint](): {"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": map[string]any{}},
	reflect.TypeFor[corev1.Toleration]():               {"key": "a", "operator": "Exists"},
	reflect.TypeFor[corev1.HostAlias]():                {"ip": "10.0.0.1", "hostnames": []any{"a"}},
	reflect.TypeFor[corev1.PersistentVolumeClaim]():    {"metadata": map[string]any{"name": "claim"}, "spec": map[string]any{"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}}}},
	reflect.TypeFor[corev1.ServicePort]():              {"port": 81, "name": "b"},
	reflect.TypeFor[networkingv1.IngressRule]():        {"host": "a.b"},
	reflect.TypeFor[networkingv1.HTTPIngressPath]():    {"path": "/", "pathType": "Prefix", "backend": map[string]any{"service": map[string]any{"name": "web", "port": map[string]any{"number": 80}}}},
	reflect.TypeFor[autoscalingv2.HPAScalingPolicy]():  {"type": "Pods", "value": 1, "periodSeconds": 10},
}

func values(t reflect.Type) (all []any) {
	switch t {
	case reflect.TypeFor[intstr.IntOrString]():
		return []any{-1, 0, 70000, "50%", "150%", "Bad_Name", "http", "", "a-name-of-many-letters", "5"}
	case reflect.TypeFor[resource.Quantity]():
		return []any{"-1", "0", "1500m", "1Gi"}
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime](), reflect.TypeFor[runtime.RawExtension]():
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		all = []any{"", "Not_Valid!", "a", "A", "1a", "a.b", "a/b", "/a", "../a", "/a/../b", "a b", strings.Repeat("a", 64), strings.Repeat("a", 254), "10.0.0.1", "fe80::1", "10.0.0.0/8", "010.0.0.1", "80", "-1", "0"}
		for _, v := range enums[t] {
			all = append(all, v, strings.ToLower(v), strings.ToLower(v[:1])+v[1:])
		}
		return all
	case reflect.Int32, reflect.Int64, reflect.Int:
		return []any{-1, 0, 1, 2, 101, 70000, 2147483647}
	case reflect.Bool:
		return []any{true, false}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return []any{"", "YQ=="}
		}
	case reflect.Map:
		if t.Elem().Kind() == reflect.String || t.Elem().Kind() == reflect.Slice {
			v := any("a")
			if t.Elem().Kind() == reflect.Slice {
				v = "YQ=="
			}
			all = append(all, map[string]any{"bad key!": v}, map[string]any{"a": v}, map[string]any{"a/b/c": v}, map[string]any{"": v}, map[string]any{"a.b/c": v}, map[string]any{"UP_ER": v}, map[string]any{"..": v})
			if t.Elem().Kind() == reflect.String {
				all = append(all, map[string]any{"a": "bad value!"}, map[string]any{"a": strings.Repeat("a", 64)})
			}
			return all
		}
		if t.Elem() == reflect.TypeFor[resource.Quantity]() {
			for _, key := range []string{"cpu", "memory", "storage", "pods", "ephemeral-storage", "hugepages-2Mi", "a.b/c", "bogus", "requests.cpu", "Bad Name", "bad/Name!", "kubernetes.io/x", "requests.a.b/c", "limits.cpu", "count/a.b"} {
				for _, v := range []any{"1", "-1", "1500m", "2Mi"} {
					all = append(all, map[string]any{key: v})
				}
			}
		}
	}
	return all
}

// variants of a kind's object: every field of it with values that are out of
// the ordinary, every two members of a struct side by side, every element twice.
func variants(k kind) (all []variant) {
	var base map[string]any
	if err := yaml.Unmarshal([]byte(k.base), &base); err != nil {
		panic(err)
	}
	add := func(path []any, v any, types []reflect.Type) {
		what := fmt.Sprint(show(path), " = ", compact(v))
		o := put(runtime.DeepCopyJSONValue(jsonly(base)), path, jsonly(v), types)
		data, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		all = append(all, variant{what, data})
	}
	var walk func(t reflect.Type, path []any, types []reflect.Type)
	walk = func(t reflect.Type, path []any, types []reflect.Type) {
		if slices.ContainsFunc(k.skip, func(s string) bool { return strings.HasPrefix(show(path), s) }) || len(path) > 16 {
			return
		}
		for _, v := range values(t) {
			add(path, v, types)
		}
		if t == reflect.TypeFor[intstr.IntOrString]() || t == reflect.TypeFor[resource.Quantity]() || t == reflect.TypeFor[metav1.Time]() {
			return
		}
		if n := count(types, t); n > 1 {
			return
		}
		switch t.Kind() {
		case reflect.Pointer:
			walk(t.Elem(), path, types)
		case reflect.Slice:
			if t.Elem().Kind() == reflect.Uint8 {
				return
			}
			add(path, []any{}, types)
			if e := t.Elem(); e.Kind() == reflect.Struct {
				add(path, []any{map[string]any{}}, types)
				if f := fill[e]; f != nil {
					add(path, []any{f, f}, types)
					add(path, []any{f}, types)
				}
			} else if e.Kind() == reflect.String {
				for _, v := range append([]any{"a"}, anys(enums[e])...) {
					add(path, []any{v, v}, types)
				}
				if len(enums[e]) > 1 {
					add(path, anys(enums[e]), types)
				}
			}
			index := 0
			if t.Elem() == reflect.TypeFor[corev1.Volume]() {
				index = 1 // beside the base's
			}
			walk(t.Elem(), append(slices.Clone(path), index), append(slices.Clone(types), t.Elem()))
		case reflect.Map:
			if t.Elem().Kind() == reflect.Struct && t.Elem() != reflect.TypeFor[resource.Quantity]() {
				walk(t.Elem(), append(slices.Clone(path), "k"), append(slices.Clone(types), t.Elem()))
			}
		case reflect.Struct:
			if len(path) > 0 {
				if _, index := path[len(path)-1].(int); !index {
					add(path, map[string]any{}, types)
				}
			}
			var structs []reflect.StructField
			var each func(t reflect.Type)
			each = func(t reflect.Type) {
				for i := range t.NumField() {
					f := t.Field(i)
					name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
					if name == "" && f.Anonymous {
						if f.Type.Kind() == reflect.Struct && f.Name != "TypeMeta" {
							each(f.Type)
						}
						continue
					}
					switch f.Name {
					case "Status", "ManagedFields", "CreationTimestamp", "DeletionTimestamp", "ResourceVersion", "SelfLink", "UID", "Generation", "DeletionGracePeriodSeconds", "Namespace", "EphemeralContainers", "StopSignal", "ClusterTrustBundle", "PodCertificate": // the last are dropped where their features are off
						if f.Name != "Namespace" || t == reflect.TypeFor[metav1.ObjectMeta]() {
							continue
						}
					}
					if f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct {
						structs = append(structs, f)
					}
					next := append(slices.Clone(path), name)
					ft := f.Type
					for ft.Kind() == reflect.Pointer {
						ft = ft.Elem()
					}
					walk(f.Type, next, append(slices.Clone(types), ft))
				}
			}
			each(t)
			for i := 1; i < len(structs); i++ { // two side by side
				v := map[string]any{}
				for _, f := range structs[i-1 : i+1] {
					name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
					if v[name] = map[string]any{}; fill[f.Type.Elem()] != nil {
						v[name] = fill[f.Type.Elem()]
					}
				}
				if len(path) > 0 {
					add(path, v, types)
				}
			}
		}
	}
	t := reflect.TypeOf(k.new()).Elem()
	all = append(all, variant{"as it is", must(json.Marshal(base))})
	walk(t, nil, nil)
	return all
}

func anys(list []string) (all []any) {
	for _, s := range list {
		all = append(all, s)
	}
	return all
}

func count(types []reflect.Type, t reflect.Type) (n int) {
	for _, have := range types {
		if have == t {
			n++
		}
	}
	return n
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func jsonly(v any) any {
	var out any
	if err := json.Unmarshal(must(json.Marshal(v)), &out); err != nil {
		panic(err)
	}
	return out
}

func compact(v any) string {
	s := string(must(json.Marshal(v)))
	if len(s) > 60 {
		s = s[:57] + "..."
	}
	return s
}

// show is a path as in findings.
func show(path []any) string {
	var b strings.Builder
	for _, p := range path {
		switch p := p.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", p)
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(p)
		}
	}
	return b.String()
}

// put sets what is at a path, and makes what is on the way to it. Tables are
// laid over what is there.
func put(into any, path []any, v any, types []reflect.Type) any {
	if len(path) == 0 {
		have, ok := into.(map[string]any)
		add, ok2 := v.(map[string]any)
		if !ok || !ok2 || len(add) == 0 && len(have) > 0 {
			return v
		}
		for k := range add {
			have[k] = add[k]
		}
		return have
	}
	var fresh map[string]any
	if len(types) > 0 && fill[types[0]] != nil {
		fresh = jsonly(fill[types[0]]).(map[string]any)
	}
	switch p := path[0].(type) {
	case int:
		list, _ := into.([]any)
		for len(list) <= p {
			list = append(list, nil)
		}
		if list[p] == nil && fresh != nil {
			list[p] = fresh
		}
		list[p] = put(list[p], path[1:], v, types[1:])
		return list
	case string:
		m, ok := into.(map[string]any)
		if !ok {
			m = map[string]any{}
		}
		if m[p] == nil && fresh != nil {
			m[p] = any(fresh)
			if len(path) > 1 {
				if _, list := path[1].(int); list {
					m[p] = nil
				}
			}
		}
		m[p] = put(m[p], path[1:], v, types[1:])
		return m
	}
	return into
}

// Every field of every kind, with values that are out of the ordinary: what the
// server refuses, so do we, at the same fields, and nothing else.
func TestAgainstTheServer(t *testing.T) {
	config := envtest.Start(t)
	client, err := discovery.NewDiscoveryClientForConfig(rest.CopyConfig(config))
	require.NoError(t, err)
	version, err := client.ServerVersion()
	require.NoError(t, err)
	var minor int
	_, err = fmt.Sscan(strings.TrimRight(version.Minor, "+"), &minor)
	require.NoError(t, err)
	report := map[string]int{}
	example := map[string]string{}
	for _, k := range kinds {
		if only := os.Getenv("KINDS"); only != "" && !regexp.MustCompile(only).MatchString(k.path) {
			continue
		}
		all := variants(k)
		var mu sync.Mutex
		var wg sync.WaitGroup
		next := make(chan variant)
		asked, refused := 0, 0
		for range 6 {
			wg.Go(func() {
				for v := range next {
					err := client.RESTClient().Post().AbsPath(k.path).Param("dryRun", "All").Param("fieldValidation", "Strict").
						SetHeader("Content-Type", "application/json").Body(v.data).Do(context.Background()).Error()
					server, judged := complaints(err)
					if !judged {
						if err != nil && !apierrors.IsBadRequest(err) && !apierrors.IsForbidden(err) && !strings.Contains(err.Error(), "resource name") {
							mu.Lock()
							key := fmt.Sprintf("UNJUDGED %s: %.200s", k.path[strings.LastIndex(k.path, "/")+1:], err)
							report[key]++
							example[key] = v.what
							mu.Unlock()
						}
						continue
					}
					o := k.new()
					if err := json.Unmarshal(v.data, o); err != nil {
						continue
					}
					if strings.Contains(fmt.Sprint(server), "configured") || strings.Contains(fmt.Sprint(server), "when multiple IP families") { // a matter of the cluster
						continue
					}
					ours := map[string]string{}
					for _, e := range Validate(o, minor) {
						ours[e.Field] = e.ErrorBody()
					}
					mu.Lock()
					asked++
					if len(server) > 0 {
						refused++
					}
					for f, message := range server {
						if strings.HasSuffix(f, ".expression") && (strings.Contains(message, "compilation failed") || strings.Contains(message, "must evaluate to bool")) {
							continue // CEL isn't read
						}
						if strings.HasPrefix(message, "Duplicate") && strings.HasPrefix(f, "allowedTopologies") {
							continue // an empty term counts as repeated
						}
						if !related(k.path, f, message, ours) {
							key := fmt.Sprintf("MISSED %s %s: %s", k.path[strings.LastIndex(k.path, "/")+1:], number.ReplaceAllString(f, ""), words(message))
							report[key]++
							example[key] = v.what
						}
					}
					for f, message := range ours {
						if strings.HasPrefix(f, "spec.jobTemplate.metadata") {
							continue // the server takes it, and refuses every Job that is made of it
						}
						if !related(k.path, f, message, server) {
							key := fmt.Sprintf("FALSE %s %s: %s", k.path[strings.LastIndex(k.path, "/")+1:], number.ReplaceAllString(f, ""), words(message))
							report[key]++
							example[key] = v.what
						}
					}
					mu.Unlock()
				}
			})
		}
		for _, v := range all {
			next <- v
		}
		close(next)
		wg.Wait()
		t.Logf("%s: %d variants, %d judged, %d refused", k.path, len(all), asked, refused)
	}
	var lines []string
	for key, n := range report {
		lines = append(lines, fmt.Sprintf("%s (%d, as with %s)", key, n, example[key]))
	}
	sort.Strings(lines)
	if len(lines) > 0 {
		t.Errorf("%d disagreements with the server:\n%s", len(lines), strings.Join(lines[:min(len(lines), 120)], "\n"))
	}
}

// aliases are fields that the server calls by other names than they have.
var aliases = strings.NewReplacer("template.labels", "template.metadata.labels", "template.annotations", "template.metadata.annotations",
	"cephFS", "cephfs", "downwarAPI", "downwardAPI", "overhead.limits", "overhead", "overhead.podFixed", "overhead", "downwardAPI.items", "downwardAPI", "projected.sources.serviceAccountToken.path", "projected.path", "resources[storage]", "resources.requests[storage]", "csi.nodePublishSecretRef.name", "csi.name", "serviceAccountName", "serviceAccount", "persistentDisk", "gcePersistentDisk", "targetportal", "targetPortal",
	"initiatorname", "initiatorName", "LoadBalancerSourceRanges", "loadBalancerSourceRanges", "clusterIPs", "clusterIP", "dataSourceRef", "dataSource",
	"limits.defaultRequest", "limits.max", "limits.default", "limits.max", "limits.min", "limits.max", "ports.targetPort", "ports.port")

var number = regexp.MustCompile(`\[\d+\]`)

var quoted = regexp.MustCompile(`"(?:[^"\\\\]|\\\\.)*"|\{.*\}|-?\d+`)

// words are those of a message, without the values it is about.
func words(message string) string {
	return fmt.Sprintf("%.100s", quoted.ReplaceAllString(message, "…"))
}

// place is where a complaint is about. Indexes are left out: the server does so
// for some lists. Of two where one may be, either may be called too many.
func place(k, f, message string) string {
	f = aliases.Replace(number.ReplaceAllString(f, ""))
	if strings.Contains(message, "`selector` does not match") {
		return "spec.selector"
	}
	switch { // what the server derives of other fields
	case strings.HasPrefix(k, "/api/v1/namespaces/default/pods"):
		f = strings.Replace(f, "spec.resources.requests[", "spec.resources.limits[", 1)
	case strings.HasSuffix(k, "/jobs"), strings.HasSuffix(k, "/replicationcontrollers"):
		if f = strings.TrimPrefix(f, "spec.template."); f == "metadata.name" || f == "metadata.labels" {
			return "metadata"
		}
	case k == "/api/v1/namespaces" && f == "metadata.labels":
		return "metadata.name"
	case strings.HasSuffix(k, "/statefulsets") && strings.HasPrefix(f, "spec.template.spec.volumes"):
		return "spec.volumeClaimTemplates"
	}
	if i := strings.LastIndexByte(f, '.'); i > 0 && (strings.Contains(message, "more than 1") || strings.Contains(message, "Limit must be") || strings.Contains(message, "uplicate") || strings.Contains(message, "may not be set when") || strings.Contains(message, "cannot be 0")) {
		f = f[:i]
	}
	return f
}

// related says whether something is said of a field, of one around it or of one in it.
func related(k, f, message string, said map[string]string) bool {
	f = place(k, f, message)
	for have, message := range said {
		have = place(k, have, message)
		if have == f || strings.HasPrefix(have, f) || strings.HasPrefix(f, have) {
			return true
		}
	}
	return false
}

// complaints of the server by field, if it judged the object at all.
func complaints(err error) (map[string]string, bool) {
	if err == nil {
		return nil, true
	}
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return nil, false
	}
	all := map[string]string{}
	for _, c := range status.Status().Details.Causes {
		all[c.Field] = c.Message
	}
	return all, true
}
