package wild

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/verify"
)

// fair is what an operator would say of the clusters that all these charts are
// for: nothing, but that the usual custom resources are there. The oldest and
// the newest version of Kubernetes stand for those between.
var fair = verify.Config{
	APIVersions:  []string{"monitoring.coreos.com/v1", "cert-manager.io/v1"},
	KubeVersions: []string{charttest.KubeVersions[0], charttest.KubeVersions[len(charttest.KubeVersions)-1]},
}

// known are the findings that charts in the wild have by right.
var known = map[string][]struct{ check, field, why string }{
	"external-dns": {
		{"strict", "spec.template.spec.topologySpreadConstraints[0].labelSelector.app.kubernetes.io/name", "ci/ci-values.yaml leaves out matchLabels"},
		{"strict", "spec.template.spec.topologySpreadConstraints[0].labelSelector.app.kubernetes.io/instance", "ci/ci-values.yaml leaves out matchLabels"},
	},
	"podinfo": {
		{"strict", "spec.metrics[0].resource.targetAverageUtilization", "a field of autoscaling/v2beta1 under autoscaling/v2"},
		{"strict", "spec.metrics[1].resource.targetAverageValue", "a field of autoscaling/v2beta1 under autoscaling/v2"},
	},
}

// unknown are the findings of a chart beyond those known.
func unknown(name string, all []check.Finding) []check.Finding {
	return slices.DeleteFunc(slices.Clone(all), func(f check.Finding) bool {
		for _, k := range known[name] {
			if f.Check == k.check && f.Field == k.field {
				return true
			}
		}
		return false
	})
}

func TestNoFalseAlarms(t *testing.T) {
	for name, dir := range charts(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := verify.Run(context.Background(), dir, fair)
			require.NoError(t, err)
			require.NotZero(t, result.Objects)
			for _, f := range unknown(name, result.Findings) {
				t.Errorf("%s:%d: %s: %s (%s, in %v)", f.File, f.Line, f.Object, f.Message, f.Check, f.Profiles)
			}
			require.Len(t, result.Findings, len(known[name]), "known findings that are none")
		})
	}
}

// mutation is one defect in one line of a chart.
type mutation struct {
	chart, file string // file under templates/, or from the chart's folder if it begins with ./
	line        int
	find, put   string // in that line
	check       string // that must find it, and no other
	in          string // the file to blame, where it isn't the mutated one
	at          int    // the line to blame, where it isn't the mutated one
	says        string // part of the message
	values      map[string]any
	cluster     check.Cluster
}

func TestDefectsInTheWild(t *testing.T) {
	all := charts(t)
	styles := map[string]bool{}
	for i, m := range mutations {
		styles[m.chart] = true
		t.Run(fmt.Sprintf("%02d-%s-%s", i+1, m.chart, m.check), func(t *testing.T) {
			t.Parallel()
			config := fair
			config.Cluster = m.cluster
			config.KubeVersions = []string{"1.36"}
			config.Profiles = map[string]verify.Profile{"defect": {Values: m.values}}
			sound, err := verify.Run(context.Background(), all[m.chart], config)
			require.NoError(t, err)
			require.Empty(t, unknown(m.chart, sound.Findings), "before the defect")

			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(all[m.chart])))
			file := filepath.Join(dir, "templates", m.file)
			if strings.HasPrefix(m.file, "./") {
				file = filepath.Join(dir, m.file)
			}
			m.into(t, file)
			result, err := verify.Run(context.Background(), dir, config)
			require.NoError(t, err)
			found := unknown(m.chart, result.Findings)
			require.Len(t, found, 1, "%+v", found)
			f := found[0]
			require.Equal(t, m.check, f.Check, "%+v", f)
			require.Contains(t, f.Message, m.says)
			require.NotEmpty(t, f.Remedy)
			if m.in != "" {
				file = filepath.Join(filepath.Dir(file), m.in)
			}
			require.Equal(t, fmt.Sprint(file, ":", cmp.Or(m.at, m.line)), fmt.Sprint(f.File, ":", f.Line), "%+v", f)
		})
	}
	require.GreaterOrEqual(t, len(mutations), 25)
	require.GreaterOrEqual(t, len(styles), 10)
}

// into writes the defect into the file.
func (m mutation) into(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Split(string(content), "\n")
	require.Contains(t, lines[m.line-1], m.find)
	lines[m.line-1] = strings.Replace(lines[m.line-1], m.find, m.put, 1)
	require.NoError(t, os.Chmod(file, 0o600))
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600))
}

type table = map[string]any

var laptop = check.Cluster{Nodes: []check.Node{{Name: "laptop", Count: 1,
	Allocatable: corev1.ResourceList{"cpu": resource.MustParse("2"), "memory": resource.MustParse("8Gi")}}}}

var standalone = table{"mode": "standalone", "deploymentUpdate": table{"type": "Recreate"}}

var mutations = []mutation{
	// What selects, and what is selected.
	{chart: "metrics-server", file: "service.yaml", line: 24, find: `include "metrics-server.selectorLabels" .`, put: `include "metrics-server.labels" .`,
		check: "service-selects", at: 23, says: "selects no pod"},
	{chart: "grafana", file: "service.yaml", line: 18, find: "grafana.fullname", put: "grafana.chart", check: "service-selects", at: 17},
	{chart: "podinfo", file: "deployment.yaml", line: 21, find: "podinfo.fullname", put: "podinfo.chart", check: "field-valid", at: 15},
	{chart: "external-secrets", file: "poddisruptionbudget.yaml", line: 17, find: `"external-secrets.selectorLabels" .`, put: `"external-secrets.selectorLabels" . | replace "name: ex" "name: in"`, check: "pdb-target", at: 15,
		values: table{"podDisruptionBudget": table{"enabled": true}}},
	{chart: "sealed-secrets", file: "networkpolicy.yaml", line: 17, find: "sealed-secrets.matchLabels", put: "sealed-secrets.labels", check: "network-policy-target", at: 16,
		values: table{"networkPolicy": table{"enabled": true}}},
	{chart: "metrics-server", file: "servicemonitor.yaml", line: 21, find: "https", put: "metrics", check: "service-monitor-target", says: `"metrics"`,
		values: table{"serviceMonitor": table{"enabled": true}, "metrics": table{"enabled": true}}},
	{chart: "ingress-nginx", file: "controller-hpa.yaml", line: 20, find: "controller.fullname", put: "fullname", check: "scale-target", at: 17,
		values: table{"controller": table{"autoscaling": table{"enabled": true}}}},

	// Ports.
	{chart: "cert-manager", file: "webhook-service.yaml", line: 34, find: "https", put: "http", check: "service-port", says: "port http"},
	{chart: "external-dns", file: "service.yaml", line: 27, find: "http", put: "https", check: "service-port"},
	{chart: "minio", file: "service.yaml", line: 36, find: "{{ .Values.minioAPIPort }}", put: "api", check: "service-port", says: "port api"},
	{chart: "cert-manager", file: "webhook-deployment.yaml", line: 152, find: "healthcheck", put: "health", check: "probe-port"},
	{chart: "dapr", file: "./charts/dapr_placement/templates/dapr_placement_statefulset.yaml", line: 62, find: "8080", put: "healthz", check: "probe-port", says: "healthz"},
	{chart: "minio", file: "ingress.yaml", line: 45, find: "{{ $servicePort }}", put: "80", check: "ingress-backend", says: "port 80",
		values: table{"ingress": table{"enabled": true}}},

	// What must be there.
	{chart: "grafana", file: "deployment.yaml", line: 93, find: "-datasources", put: "-sources", check: "references", at: 92, says: "release-name-grafana-sources"},
	{chart: "minio", file: "deployment.yaml", line: 103, find: "rootPassword", put: "rootpassword", check: "references", at: 101, says: "rootpassword", values: standalone},
	{chart: "minio", file: "deployment.yaml", line: 197, find: `(include "minio.fullname" .)`, put: `(include "minio.name" . | printf "%s-data")`, check: "references", says: "PersistentVolumeClaim", values: standalone},
	{chart: "external-secrets", file: "webhook-deployment.yaml", line: 132, find: "-webhook", put: "-webhook-tls", check: "references", at: 131, says: "Secret"},
	{chart: "descheduler", file: "cronjob.yaml", line: 90, find: "descheduler.serviceAccountName", put: "descheduler.chart", check: "references", says: "ServiceAccount"},
	{chart: "podinfo", file: "deployment.yaml", line: 79, find: "config", put: "conf", check: "field-valid", says: `"conf"`},
	{chart: "local-path-provisioner", file: "rolebinding.yaml", line: 12, find: "local-path-provisioner.fullname", put: "local-path-provisioner.name", check: "role-ref", at: 9},
	{chart: "local-path-provisioner", file: "clusterrolebinding.yaml", line: 15, find: "    namespace: {{ .Release.Namespace }}", put: "", check: "field-valid", at: 13, says: "namespace"},

	// What the API server drops or refuses.
	{chart: "metrics-server", file: "deployment.yaml", line: 171, find: "tolerations:", put: "toleration:", check: "strict", says: "unknown field",
		values: table{"tolerations": []any{table{"operator": "Exists"}}}},
	{chart: "cert-manager", file: "webhook-deployment.yaml", line: 154, find: "{{ .Values.webhook.livenessProbe.initialDelaySeconds }}", put: `"{{ .Values.webhook.livenessProbe.initialDelaySeconds }}"`, check: "strict", says: "want integer"},
	{chart: "metrics-server", file: "deployment.yaml", line: 13, find: "{{ .Values.replicas }}", put: "{{ .Values.replicas | quote }}", check: "strict", says: "replicas"},
	{chart: "external-secrets", file: "webhook-deployment.yaml", line: 48, find: "serviceAccountName:", put: "automountServiceAccountToken:", check: "strict", at: 49, says: "automountServiceAccountToken"},
	{chart: "loadtester", file: "deployment.yaml", line: 25, find: `"80, 8080"`, put: "80", check: "strict", says: `"spec.template.metadata.annotations": got number`},
	{chart: "descheduler", file: "cronjob.yaml", line: 94, find: `restartPolicy: "Never"`, put: `restartPolicy: "Always"`, check: "field-valid", says: "supported values"},
	{chart: "metrics-server", file: "deployment.yaml", line: 106, find: "nindent 12", put: "nindent 10", check: "strict", says: "containers[0].requests"},
	{chart: "minio", file: "_helpers.tpl", line: 167, find: "secretName", put: "secretname", check: "strict", in: "deployment.yaml", at: 209, says: `unknown field "spec.template.spec.volumes[2].secret.secretname"`,
		values: table{"mode": "standalone", "deploymentUpdate": table{"type": "Recreate"}, "tls": table{"enabled": true, "certSecret": "tls"}}},
	{chart: "cert-manager", file: "./values.yaml", line: 129, find: "1", put: "one", check: "schema", says: "replicaCount: got string"},
	{chart: "sealed-secrets", file: "deployment.yaml", line: 167, find: `"%s/%s:%s" .Values.image.registry .Values.image.repository .Values.image.tag`, put: `"%s//%s:%s" .Values.image.registry .Values.image.repository .Values.image.tag`, check: "image", says: "lacks its repository"},
	{chart: "ingress-nginx", file: "controller-hpa.yaml", line: 2, find: `ternary "autoscaling/v2" "autoscaling/v2beta2"`, put: `ternary "autoscaling/v2beta2" "autoscaling/v2"`, check: "api-available", says: "autoscaling/v2",
		values: table{"controller": table{"autoscaling": table{"enabled": true}}}},
	{chart: "ingress-nginx", file: "controller-poddisruptionbudget.yaml", line: 11, find: `ternary "policy/v1" "policy/v1beta1" (semverCompare ">=1.21.0-0" .Capabilities.KubeVersion.Version)`, put: `print "policy/v1beta1"`, check: "api-available", says: "use policy/v1",
		values: table{"controller": table{"replicaCount": 2}}},
	{chart: "dapr", file: "./charts/dapr_placement/templates/dapr_placement_statefulset.yaml", line: 5, find: "dapr-placement-server", put: "dapr_placement_server", check: "metadata", says: "dapr_placement_server"},

	// What fails only in a cluster.
	{chart: "minio", file: "deployment.yaml", line: 27, find: "1", put: "3", check: "claim-shared", in: "pvc.yaml", at: 16, values: standalone},
	{chart: "ingress-nginx", file: "controller-deployment.yaml", line: 22, find: "eq .Values.controller.autoscaling.enabled .Values.controller.keda.enabled", put: "ge (int .Values.controller.replicaCount) 1",
		check: "hpa-replicas", at: 23, values: table{"controller": table{"autoscaling": table{"enabled": true}}}},
	{chart: "podinfo", file: "deployment.yaml", line: 83, find: "{{ toYaml .Values.resources | indent 12 }}", put: "            requests: {nvidia.com/gpu: 1}", check: "field-valid", says: "Limit must be set"},
	{chart: "podinfo", file: "deployment.yaml", line: 83, find: "{{ toYaml .Values.resources | indent 12 }}", put: "            requests: {cpu: 4}", check: "node-fits", at: 27, cluster: laptop, says: "4 of cpu asked"},
	{chart: "podinfo", file: "deployment.yaml", line: 28, find: "terminationGracePeriodSeconds: 30", put: "nodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}", check: "gpu-placement", says: "no container asks"},
	{chart: "grafana", file: "deployment.yaml", line: 69, find: "{{ toYaml .Values.resources | indent 12 }}", put: "            limits: {nvidia.com/gpu: 1}", check: "gpu-rollout", at: 10, says: "starting the new one first"},
	{chart: "grafana", file: "deployment.yaml", line: 54, find: "GF_AUTH_ANONYMOUS_ENABLED", put: "GF_AUTH_BASIC_ENABLED", check: "list-keys", says: "twice"},
	{chart: "dapr", file: "./charts/dapr_operator/templates/dapr_operator_service.yaml", line: 49, find: "dapr-webhook", put: "dapr-api", check: "duplicate-object"},
	{chart: "loadtester", file: "deployment.yaml", line: 51, find: "-port=8080", put: "-port=$(RELEASE_NAME_LOADTESTER_PORT)", check: "service-links", says: "tcp://"},
	{chart: "loadtester", file: "deployment.yaml", line: 50, find: "- ./loadtester", put: "- sh\n            - -c\n            - while true; do sleep 60; done\n          args:", check: "service-asleep", at: 49},
	{chart: "trust-manager", file: "deployment.yaml", line: 133, find: "toYaml .", put: `omit . "capabilities" | toYaml`, check: "pod-security", at: 132, says: "capabilities", cluster: check.Cluster{PodSecurity: "restricted"}},
	{chart: "metrics-server", file: "deployment.yaml", line: 62, find: "toYaml .", put: `omit . "seccompProfile" | toYaml`, check: "pod-security", at: 61, says: "seccompProfile", cluster: check.Cluster{PodSecurity: "restricted"}},
	{chart: "external-dns", file: "deployment.yaml", line: 15, find: "1", put: "1\n  replicas: 2", check: "strict", at: 16, says: "duplicate"},
	{chart: "loadtester", file: "deployment.yaml", line: 48, find: "8080", put: "8080\n            - name: http\n              containerPort: 8081", check: "field-valid", at: 49, says: "Duplicate"},

	// Kinds that strangers' bug reports are about.
	{chart: "loadtester", file: "deployment.yaml", line: 45, find: "{{ .Values.image.pullPolicy }}", put: "ifNotPresent", check: "field-valid", says: `"IfNotPresent"`},
	{chart: "loadtester", file: "deployment.yaml", line: 64, find: "5", put: "-5", check: "field-valid", says: "greater than or equal to 0"},
	{chart: "loadtester", file: "deployment.yaml", line: 55, find: "livenessProbe:", put: "livenessProbe:\n            tcpSocket: {port: 8080}", check: "field-valid", at: 56, says: "more than 1 handler type"},
	{chart: "external-dns", file: "service.yaml", line: 21, find: "ClusterIP", put: "Clusterip", check: "field-valid", says: "supported values"},
	{chart: "external-dns", file: "service.yaml", line: 28, find: "TCP", put: "tcp", check: "field-valid", says: `"TCP"`},
	{chart: "descheduler", file: "cronjob.yaml", line: 21, find: "Forbid", put: "forbid", check: "field-valid", says: `"Forbid"`},
	{chart: "descheduler", file: "cronjob.yaml", line: 17, find: "{{ .Values.schedule | quote }}", put: "every hour", check: "field-valid", says: "5 fields"},
	{chart: "cert-manager", file: "webhook-validating-webhook.yaml", line: 38, find: "{{ .Values.webhook.timeoutSeconds }}", put: "60", check: "field-valid", says: "between 1 and 30"},
	{chart: "cert-manager", file: "webhook-validating-webhook.yaml", line: 40, find: "None", put: "Some", check: "field-valid", says: "NoneOnDryRun"},
	{chart: "cert-manager", file: "webhook-validating-webhook.yaml", line: 30, find: "UPDATE", put: "update", check: "field-valid", says: `"UPDATE"`},
	{chart: "cert-manager", file: "startupapicheck-job.yaml", line: 15, find: "toYaml .", put: `toYaml (dict "helm.sh/hook" "post-install, pre-uninstall")`, check: "helm-warning", says: "skipping unknown hook"},
	{chart: "cert-manager", file: "startupapicheck-job.yaml", line: 15, find: "toYaml .", put: `toYaml (dict "helm.sh/hook" "pre-install")`, check: "hook-order", at: 39, says: "a hook of [post-install] only"},
	{chart: "metrics-server", file: "pdb.yaml", line: 14, find: "{{ .Values.podDisruptionBudget.maxUnavailable }}", put: "0%", check: "pdb-target", says: "no node can be drained",
		values: table{"podDisruptionBudget": table{"enabled": true, "maxUnavailable": 1}}},
	{chart: "metrics-server", file: "pdb.yaml", line: 6, find: "{{ .Release.Namespace }}", put: "elsewhere", check: "namespace", at: 22, says: "selects pods in namespace",
		values: table{"podDisruptionBudget": table{"enabled": true, "maxUnavailable": 1}}},
	{chart: "minio", file: "deployment.yaml", line: 21, find: "{{ .Values.deploymentUpdate.type }}", put: "RollingUpdate", check: "claim-shared", at: 20, says: "starts a new pod before the old one ends", values: standalone},
	{chart: "dapr", file: "./charts/dapr_placement/templates/dapr_placement_statefulset.yaml", line: 5, find: "dapr-placement-server", put: "dapr-placement-server-of-a-name-that-is-much-too-long", check: "metadata", says: "controller-revision-hash"},
}
