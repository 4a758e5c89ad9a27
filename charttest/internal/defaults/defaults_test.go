package defaults_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/internal/defaults"
	"github.com/ai-film/ai-film/charttest/internal/envtest"
)

const pod = `{metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: "a:1", ports: [{containerPort: 1}], readinessProbe: {httpGet: {port: 1}},
  env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}, {name: b, image: b}], volumes: [{name: v}, {name: s, secret: {secretName: s}}]}}`

var objects = []string{
	"{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {selector: {matchLabels: {app: x}}, template: POD}}",
	"{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {strategy: {type: Recreate}, selector: {matchLabels: {app: x}}, template: POD}}",
	"{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {strategy: {rollingUpdate: {maxSurge: 2}}, replicas: 0, selector: {matchLabels: {app: x}}, template: POD}}",
	"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x}, spec: {serviceName: x, selector: {matchLabels: {app: x}}, template: POD, volumeClaimTemplates: [{metadata: {name: d}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}",
	"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x}, spec: {updateStrategy: {type: OnDelete}, serviceName: x, selector: {matchLabels: {app: x}}, template: POD}}",
	"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: x}, spec: {selector: {matchLabels: {app: x}}, template: POD}}",
	"{apiVersion: batch/v1, kind: Job, metadata: {name: x}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}",
	"{apiVersion: batch/v1, kind: Job, metadata: {name: x}, spec: {parallelism: 3, template: {spec: {restartPolicy: OnFailure, containers: [{name: a, image: a}]}}}}",
	"{apiVersion: batch/v1, kind: Job, metadata: {name: x}, spec: {podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}",
	"{apiVersion: batch/v1, kind: CronJob, metadata: {name: x}, spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}}}",
	"{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {ports: [{port: 80}]}}",
	"{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {ports: [{port: 80, targetPort: http}], clusterIP: None}}",
	"{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {type: NodePort, ports: [{port: 80}]}}",
	"{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {type: LoadBalancer, ports: [{port: 80}]}}",
	"{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {type: ExternalName, externalName: a.b}}",
	"{apiVersion: v1, kind: Secret, metadata: {name: x}, stringData: {a: b}}",
	"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: x}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
	"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: x}, spec: {podSelector: {}}}",
	"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: x}, spec: {podSelector: {}, ingress: [{ports: [{port: 1}]}], egress: [{ports: [{port: 1}]}]}}",
	"{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: x}, spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: x}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}}",
	"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: x}, roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: User, name: a}, {kind: ServiceAccount, name: b, namespace: c}]}",
	"{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: [{name: a, image: a, resources: {limits: {cpu: 1}}}]}}",
}

// assigned are what the server fills in that is no default: addresses, names of
// its own making, what it knows of nodes.
var assigned = [][]string{
	{"metadata"}, {"status"}, {"spec", "clusterIP"}, {"spec", "clusterIPs"}, {"spec", "ipFamilies"}, {"spec", "ipFamilyPolicy"},
	{"spec", "selector"}, {"spec", "template", "metadata"}, {"spec", "tolerations"}, {"spec", "priority"}, {"spec", "preemptionPolicy"},
	{"spec", "serviceAccountName"}, // of pods: by an admission plugin that needs controllers
}

func TestAPIServerAgrees(t *testing.T) {
	client, err := dynamic.NewForConfig(envtest.Start(t))
	require.NoError(t, err)
	for _, text := range objects {
		u := new(unstructured.Unstructured)
		require.NoError(t, yaml.Unmarshal([]byte(strings.ReplaceAll(text, "POD", pod)), &u.Object))
		resource, _ := meta.UnsafeGuessKindToResource(u.GroupVersionKind())
		stored, err := client.Resource(resource).Namespace("default").Create(t.Context(), u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		require.NoError(t, err, text)
		have := defaults.Content(u)
		for _, o := range []*unstructured.Unstructured{stored, have} {
			for _, path := range assigned {
				unstructured.RemoveNestedField(o.Object, path...)
			}
			if ports, ok, _ := unstructured.NestedSlice(o.Object, "spec", "ports"); ok {
				for _, p := range ports {
					delete(p.(map[string]any), "nodePort")
				}
				require.NoError(t, unstructured.SetNestedSlice(o.Object, ports, "spec", "ports"))
			}
			if claims, ok, _ := unstructured.NestedSlice(o.Object, "spec", "volumeClaimTemplates"); ok {
				for _, c := range claims {
					delete(c.(map[string]any), "metadata")
				}
				require.NoError(t, unstructured.SetNestedSlice(o.Object, claims, "spec", "volumeClaimTemplates"))
			}
		}
		want, _ := yaml.Marshal(stored.Object)
		got, _ := yaml.Marshal(have.Object)
		assert.Equal(t, string(want), string(got), text)
	}
}
