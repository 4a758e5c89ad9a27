package check_test

import (
	"flag"
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
)

var circumstances = []charttest.Option{charttest.Release("demo", "shop"), charttest.APIVersions("monitoring.coreos.com/v1")}

func TestChartWithoutDefects(t *testing.T) {
	shop := charttest.MustLoad(t, "testdata/shop")
	for _, set := range []string{"gpu=true", "gpu=false", "autoscaling=false"} {
		r := shop.MustRender(t, append([]charttest.Option{charttest.Set(set)}, circumstances...)...)
		require.Empty(t, check.Run(r, check.Cluster{}), set)
	}
}

// defect breaks the chart in testdata/shop in one place.
type defect struct {
	check    string // that must find it, and no other
	file     string // under templates/
	old, new string // in file, the first time; old "" appends
	at       string // the text of the line that the finding must point to; new's first line if ""
	says     string // part of the message
	allow    string // another check that the defect can't help failing
	cluster  check.Cluster
	kube     string
}

func TestDefects(t *testing.T) {
	found := map[string]bool{}
	for i, d := range slices.Concat(defects, invalid, refused) {
		t.Run(fmt.Sprintf("%02d-%s", i+1, d.check), func(t *testing.T) {
			dir, line := broken(t, d)
			chart := charttest.MustLoad(t, dir)
			options := circumstances
			if d.kube != "" {
				options = append([]charttest.Option{charttest.KubeVersion(d.kube)}, options...)
			}
			r, err := chart.Render(t.Context(), options...)
			require.NoError(t, err)
			findings := check.Run(r, d.cluster)
			findings = slices.DeleteFunc(findings, func(f check.Finding) bool { return f.Check == d.allow })
			require.Len(t, findings, 1, "%v", findings)
			f := findings[0]
			require.Equal(t, d.check, f.Check, "%s", f)
			require.Contains(t, f.Message, d.says)
			require.NotEmpty(t, f.Remedy)
			require.Equal(t, filepath.Join(dir, "templates", d.file), f.Place().File, "%s", f)
			require.Equal(t, line, f.Place().Line, "%s", f)
			found[d.check] = true
		})
	}
	if flag.Lookup("test.run").Value.String() != "" {
		return
	}
	for _, c := range check.All() {
		require.True(t, found[c.Name], "no defect shows that the check %s finds anything", c.Name)
	}
}

// broken is a copy of the shop with the defect, and the line to blame.
func broken(t *testing.T, d defect) (dir string, line int) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/shop")))
	file := filepath.Join(dir, "templates", d.file)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	text, at := string(content), d.at
	if d.old == "" {
		text += d.new
	} else {
		require.Contains(t, text, d.old)
		text = strings.Replace(text, d.old, d.new, 1)
	}
	if at == "" {
		at = strings.TrimSpace(strings.SplitN(strings.TrimLeft(d.new, "\n"), "\n", 2)[0])
	}
	start := 0
	if d.at == "" && d.old != "" {
		start = strings.Index(text, d.new)
	}
	i := strings.Index(text[start:], at)
	require.GreaterOrEqual(t, i, 0, "no line has %q", at)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return dir, strings.Count(text[:start+i], "\n") + 1
}

// small is a cluster of one node of 2 CPUs.
var small = check.Cluster{Nodes: []check.Node{{Name: "laptop", Count: 1,
	Allocatable: corev1.ResourceList{"cpu": resource.MustParse("2"), "memory": resource.MustParse("8Gi"), "nvidia.com/gpu": resource.MustParse("1")},
	Labels:      map[string]string{"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}}}}

var defects = []defect{
	{check: "service-selects", file: "web.yaml", old: "    tier: web\n  ports:", new: "    tier: wep\n  ports:", at: "  selector:\n    {{- include \"shop.selector\" . | nindent 4 }}", says: "selects no pod"},
	{check: "service-port", file: "web.yaml", old: "targetPort: http", new: "targetPort: web", says: "port web"},
	{check: "service-port", file: "web.yaml", old: "targetPort: 9090", new: "targetPort: metric", says: "metric"},
	{check: "service-port", file: "web.yaml", old: "      targetPort: 9090\n", new: "      targetPort: metrics\n      protocol: UDP\n", at: "targetPort: metrics", says: "UDP"},
	{check: "probe-port", file: "web.yaml", old: "port: http\n          livenessProbe", new: "port: web\n          livenessProbe", says: "port web"},
	{check: "probe-port", file: "web.yaml", old: "port: 8080\n          resources", new: "port: admin\n          resources", says: "admin"},
	{check: "probe-port", file: "web.yaml", old: "          resources:\n", new: "          lifecycle: {postStart: {httpGet: {port: warm}}}\n          resources:\n", says: "calls port warm"},
	{check: "scale-target", file: "scaling.yaml", old: "    name: {{ include \"shop.fullname\" . }}-web\n  min", new: "    name: {{ include \"shop.fullname\" . }}\n  min", at: "scaleTargetRef:", says: "Deployment/demo-shop"},
	{check: "scale-target", file: "scaling.yaml", old: "kind: Deployment", new: "kind: StatefulSet", at: "scaleTargetRef:", says: "StatefulSet/demo-shop-web"},
	{check: "scale-target", file: "scaling.yaml", old: "name: cpu", new: "name: ephemeral-storage", at: "- type: Resource", says: "requests none"},
	{check: "hpa-replicas", file: "web.yaml", old: "{{- if not .Values.autoscaling }}", new: "{{- if .Values.replicas }}", at: "  replicas:", says: "HorizontalPodAutoscaler/demo-shop-web"},
	{check: "pdb-target", file: "scaling.yaml", old: "tier: store", new: "tier: stores", at: "  selector:", says: "selects no pod"},
	{check: "pdb-target", file: "scaling.yaml", old: "minAvailable: 1", new: "minAvailable: 2", says: "no node can be drained"},
	{check: "field-valid", file: "scaling.yaml", old: "  minAvailable: 1\n", new: "  minAvailable: 1\n  maxUnavailable: 1\n", at: "maxUnavailable", says: "cannot be both set"},
	{check: "network-policy-target", file: "access.yaml", old: "tier: web", new: "tier: front", at: "podSelector:", says: "selects no pod"},
	{check: "service-monitor-target", file: "monitor.yaml", old: "tier: web", new: "tier: store", at: "  selector:", says: "selects no Service"},
	{check: "service-monitor-target", file: "monitor.yaml", old: "port: metrics", new: "port: prometheus", says: "prometheus"},
	{check: "field-valid", file: "store.yaml", old: "      tier: store\n  template", new: "      tier: storage\n  template", at: "  selector:", says: "does not match"},
	{check: "selector-matches", file: "store.yaml", old: "  serviceName: {{ include \"shop.fullname\" . }}-store", new: "  serviceName: {{ include \"shop.fullname\" . }}-headless", says: "DNS"},
	{check: "ingress-backend", file: "access.yaml", old: "name: {{ include \"shop.fullname\" . }}-web", new: "name: {{ include \"shop.fullname\" . }}-front", says: "routes to Service"},
	{check: "ingress-backend", file: "access.yaml", old: "name: http", new: "name: https", at: "name: https", says: "https"},
	{check: "field-valid", file: "access.yaml", old: "            pathType: Prefix\n", new: "", at: "- path: /", says: "pathType"},
	{check: "references", file: "web.yaml", old: "name: {{ include \"shop.fullname\" . }}\n                  key", new: "name: {{ include \"shop.fullname\" . }}-db\n                  key", at: "secretKeyRef:", says: "demo-shop-db"},
	{check: "references", file: "web.yaml", old: "key: password", new: "key: passwd", at: "secretKeyRef:", says: "passwd"},
	{check: "references", file: "web.yaml", old: "key: shop.toml", new: "key: shop.yaml", says: "shop.yaml"},
	{check: "references", file: "web.yaml", old: "claimName: {{ include \"shop.fullname\" . }}-media", new: "claimName: {{ include \"shop.fullname\" . }}-images", says: "images"},
	{check: "references", file: "web.yaml", old: "serviceAccountName: {{ include \"shop.fullname\" . }}", new: "serviceAccountName: {{ include \"shop.fullname\" . }}-web", says: "ServiceAccount"},
	{check: "references", file: "web.yaml", old: "name: {{ include \"shop.fullname\" . }}\n          ports", new: "name: {{ include \"shop.fullname\" . }}-env\n          ports", says: "ConfigMap"},
	{check: "references", file: "store.yaml", old: "priorityClassName: {{ include \"shop.fullname\" . }}-high", new: "priorityClassName: gold", says: "gold", cluster: check.Cluster{External: []string{"StorageClass/*"}}},
	{check: "field-valid", file: "web.yaml", old: "- name: media\n              mountPath", new: "- name: medias\n              mountPath", says: "medias"},
	{check: "field-valid", file: "web.yaml", old: "mountPath: /media", new: "mountPath: /etc/shop", at: "mountPath: /etc/shop\n      volumes", says: "must be unique"},
	{check: "field-valid", file: "store.yaml", old: "        name: data\n      spec", new: "        name: disk\n      spec", at: "- name: data", says: "data"},
	{check: "ports", file: "web.yaml", old: "      volumes:\n", new: "        - name: log\n          image: log:1\n          securityContext:\n            {{- include \"shop.restricted\" . | nindent 12 }}\n          ports: [{name: metrics, containerPort: 24224}]\n      volumes:\n", at: "ports: [{name: metrics", says: "both have a port named", allow: "scale-target"},
	{check: "field-valid", file: "web.yaml", old: "- name: metrics\n              containerPort", new: "- name: http\n              containerPort", at: "- name: http\n              containerPort: 9090", says: "Duplicate"},
	{check: "field-valid", file: "store.yaml", old: "      port: 6380\n---", new: "      port: 6380\n    - name: store\n      port: 6381\n      targetPort: store\n---", at: "    - name: store\n      port: 6381", says: "Duplicate"},
	{check: "field-valid", file: "web.yaml", old: "    - name: http\n      port: 80", new: "    - port: 81", says: "name: Required", allow: "ingress-backend"},
	{check: "field-valid", file: "store.yaml", old: "- name: store\n          image", new: "- name: Store_1\n          image", says: "Store_1"},
	{check: "image", file: "web.yaml", old: `image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"`, new: `image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"`, says: "ends where its tag"},
	{check: "image", file: "web.yaml", old: `image: "{{ .Values.image.repository }}`, new: `image: "{{ .Values.image.registry }}/{{ .Values.image.repository }}`, says: "lacks its repository"},
	{check: "image", file: "store.yaml", old: "image: registry.example.com/shop/store:9.1", new: "image: registry.example.com/Shop/store:9.1", says: "capitals"},
	{check: "field-valid", file: "web.yaml", old: "            - name: PASSWORD\n", new: "            - name: PASSWORD\n              value: secret\n", at: "valueFrom:", says: "may not be specified when"},
	{check: "list-keys", file: "web.yaml", old: "            - name: PASSWORD\n", new: "            - name: WEB_PORT\n              value: \"8081\"\n            - name: PASSWORD\n", at: "- name: WEB_PORT\n              value: \"8081\"", says: "twice"},
	{check: "field-valid", file: "data.yaml", old: "restartPolicy: Never", new: "restartPolicy: Always", says: "supported values"},
	{check: "metadata", file: "scaling.yaml", old: "}}-web\nspec", new: "}}_web\nspec", at: "}}_web", says: "demo-shop_web"},
	{check: "metadata", file: "data.yaml", old: "-report\nspec", new: "-the-report-of-all-the-sales-of-the-day-before\nspec", at: "-the-report", says: "no more than 52"},
	{check: "metadata", file: "web.yaml", old: "    {{- include \"shop.selector\" . | nindent 4 }}\nspec:\n  {{-", new: "    {{- include \"shop.selector\" . | nindent 4 }}\n    version: \"2.4+build\"\nspec:\n  {{-", at: "  labels:", says: "2.4+build"},
	{check: "duplicate-object", file: "data.yaml", new: "\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: demo-shop\ndata: {password: aGkK}\n", at: "  name: demo-shop\n", says: "second time"},
	{check: "field-valid", file: "web.yaml", old: "cpu: 100m", new: "cpu: 1500m", says: "1500m"},
	{check: "field-valid", file: "studio.yaml", old: "            limits:\n              nvidia.com/gpu: 1\n", new: "", at: "nvidia.com/gpu: 1\n", says: "Limit must be set"},
	{check: "field-valid", file: "studio.yaml", old: "              cpu: 500m\n              nvidia.com/gpu: 1", new: "              cpu: 500m\n              nvidia.com/gpu: 2", at: "nvidia.com/gpu: 2", says: "must be equal"},
	{check: "memory-unit", file: "store.yaml", old: "{cpu: 200m, memory: 256Mi}\n            limits: {memory: 512Mi}", new: "{cpu: 200m}\n            limits: {memory: 512}", at: "limits: {memory", says: "unit"},
	{check: "gpu-placement", file: "studio.yaml", old: "      tolerations:\n        - key: nvidia.com/gpu\n          operator: Exists\n          effect: NoSchedule\n", new: "", at: "nodeSelector:", says: "doesn't tolerate"},
	{check: "gpu-placement", file: "studio.yaml", old: "              nvidia.com/gpu: 1\n            limits:\n              nvidia.com/gpu: 1\n", new: "", at: "nodeSelector:", says: "no container asks"},
	{check: "gpu-placement", file: "web.yaml", old: "      containers:\n", new: "      tolerations:\n        - key: nvidia.com/gpu\n          operator: Exists\n      containers:\n", at: "- key: nvidia.com/gpu", says: "no container asks"},
	{check: "gpu-rollout", file: "studio.yaml", old: "type: Recreate", new: "type: RollingUpdate", at: "strategy:", says: "starting the new one first"},
	{check: "gpu-rollout", file: "studio.yaml", old: "  strategy:\n    type: Recreate\n", new: "", at: "spec:\n  replicas", says: "25%"},
	{check: "field-valid", file: "web.yaml", old: "          command: [\"serve\"", new: "          imagePullPolicy: ifNotPresent\n          command: [\"serve\"", at: "imagePullPolicy", says: "\"IfNotPresent\""},
	{check: "field-valid", file: "web.yaml", old: "            tcpSocket:\n", new: "            httpGet: {port: 8080}\n            tcpSocket:\n", at: "            tcpSocket:", says: "more than 1 handler"},
	{check: "namespace", file: "scaling.yaml", old: "}}-store\nspec:", new: "}}-store\n  namespace: other\nspec:", at: "  selector:", says: "selects pods in namespace"},
	{check: "hook-order", file: "data.yaml", new: "\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: check, annotations: {helm.sh/hook: pre-install}}\nspec:\n  containers:\n    - name: check\n      image: check:1\n      envFrom: [{configMapRef: {name: demo-shop}}]\n", at: "envFrom: [{", says: "made after it"},
	{check: "pdb-target", file: "scaling.yaml", old: "minAvailable: 1", new: "minAvailable: 100%", says: "all of its pods"},
	{check: "pdb-target", file: "scaling.yaml", old: "minAvailable: 1", new: "maxUnavailable: 0", says: "no node can be drained"},
	{check: "pdb-target", file: "scaling.yaml", old: "  selector:\n    matchLabels:\n      tier: store\n", new: "", at: "spec:\n  minAvailable", says: "no selector"},
	{check: "claim-shared", file: "data.yaml", old: "accessModes: [ReadWriteMany]", new: "accessModes: [ReadWriteOnce]", says: "demo-shop-web"},
	{check: "claim-shared", file: "data.yaml", old: "accessModes: [ReadWriteMany]", new: "accessModes: [ReadWriteOncePod]", says: "ReadWriteOncePod"},
	{check: "node-fits", file: "store.yaml", old: "{cpu: 200m, memory: 256Mi}", new: "{cpu: \"4\", memory: 256Mi}", at: "    spec:\n      priorityClassName", says: "4 of cpu", cluster: check.Cluster{Nodes: []check.Node{{Name: "pool", Allocatable: small.Nodes[0].Allocatable, Labels: small.Nodes[0].Labels}}}},
	{check: "node-fits", file: "store.yaml", old: "{cpu: 200m, memory: 256Mi}", new: "{cpu: 900m, memory: 256Mi}", at: "    spec:\n      priorityClassName", says: "the only node has 2", cluster: small},
	{check: "node-fits", file: "studio.yaml", old: "nvidia-tesla-t4", new: "nvidia-l4", at: "    spec:\n      nodeSelector", says: "no label", cluster: small},
	{check: "role-ref", file: "access.yaml", old: "  kind: Role\n  name: {{ include \"shop.fullname\" . }}", new: "  kind: Role\n  name: {{ include \"shop.fullname\" . }}-reader", at: "roleRef:", says: "demo-shop-reader"},
	{check: "role-ref", file: "access.yaml", old: "namespace: {{ .Release.Namespace }}", new: "namespace: default", says: "default"},
	{check: "service-links", file: "store.yaml", old: "          ports:\n", new: "          command: [store, $(DEMO_SHOP_WEB_PORT)]\n          ports:\n", says: "tcp://"},
	{check: "api-available", file: "scaling.yaml", old: "apiVersion: policy/v1\n", new: "apiVersion: policy/v1beta1\n", says: "use policy/v1"},
	{check: "api-available", file: "data.yaml", old: "apiVersion: batch/v1\n", new: "apiVersion: batch/v2alpha1\n", says: "no longer served since Kubernetes 1.21"},
	{check: "pod-security", cluster: check.Cluster{PodSecurity: "restricted"}, file: "store.yaml", old: "          securityContext:\n            {{- include \"shop.restricted\" . | nindent 12 }}\n", new: "          securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}\n", says: "capabilities"},
	{check: "service-asleep", file: "store.yaml", old: "          ports:\n", new: "          command: [sh, -c, \"while true; do sleep 3600; done\"]\n          ports:\n", says: "only sleeps"},
	{check: "service-asleep", file: "store.yaml", old: "          ports:\n", new: "          args:\n            - tail\n            - -f\n            - /dev/null\n          ports:\n", says: "only sleeps"},
	{
		check: "postgres-data", file: "store.yaml", old: "              mountPath: /data\n",
		new: "              mountPath: /data\n        - name: db\n          image: docker.io/library/postgres:18.1\n          securityContext:\n" +
			"            {{- include \"shop.restricted\" . | nindent 12 }}\n          volumeMounts:\n            - name: data\n              mountPath: /var/lib/postgresql/data\n",
		at: "mountPath: /var/lib/postgresql/data", says: "/var/lib/postgresql/18/docker",
	},
	{check: "api-deprecated", file: "scaling.yaml", old: "apiVersion: policy/v1\n", new: "apiVersion: policy/v1beta1\n", says: "gone from 1.25 on; use policy/v1", kube: "1.24"},
	{check: "api-deprecated", file: "data.yaml", new: "\n---\napiVersion: storage.k8s.io/v1beta1\nkind: VolumeAttributesClass\nmetadata: {name: fast}\ndriverName: x\n", at: "apiVersion: storage.k8s.io/v1beta1", says: "use storage.k8s.io/v1", kube: "1.35"},
	{check: "api-deprecated", file: "data.yaml", new: "\n---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: elsewhere}\n", at: "apiVersion: v1\nkind: Endpoints", says: "EndpointSlice"},
	{check: "pod-security", cluster: check.Cluster{PodSecurity: "baseline"}, file: "store.yaml", old: "      containers:\n", new: "      hostNetwork: true\n      containers:\n", says: "hostNetwork"},
}

// invalid are defects of single fields that the API server refuses.
var invalid = slices.Concat(
	invalidIn("web.yaml", "      enableServiceLinks: false\n", "      ", [][2]string{
		{"dnsPolicy: clusterfirst", "ClusterFirst"},
		{"hostAliases: [{ip: localhost, hostnames: [a]}]", "valid IP address"},
		{"tolerations: [{key: a, operator: exists}]", "Exists"},
		{"tolerations: [{operator: Equal}]", "must be Exists when `key` is empty"},
		{"tolerations: [{key: a, operator: Exists, tolerationSeconds: 5}]", "NoExecute"},
		{"tolerations: [{key: a, operator: Exists, value: b}]", "value must be empty"},
		{"tolerations: [{key: a, operator: Exists, effect: NoStart}]", "NoSchedule"},
		{"nodeSelector: {\"bad key\": x}", "name part must consist"},
		{"affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}", "at least one node selector term"},
		{"affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In}]}]}}}", "must be specified when `operator` is 'In'"},
		{"affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, podAffinityTerm: {topologyKey: zone}}]}}", "between 1 and 100"},
		{"affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {}}]}}", "topologyKey: Required value"},
		{"topologySpreadConstraints: [{maxSkew: 0, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]", "greater than zero"},
		{"topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: Never}]", "ScheduleAnyway"},
		{"topologySpreadConstraints: [{maxSkew: 1, minDomains: 2, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]", "minDomains"},
		{"securityContext: {runAsUser: -5}", "between 0 and 2147483647"},
		{"securityContext: {fsGroupChangePolicy: always}", "OnRootMismatch"},
		{"securityContext: {seccompProfile: {type: Localhost}}", "must be set when seccomp type is Localhost"},
		{"securityContext: {sysctls: [{name: Bad Name, value: x}]}", "253"},
		{"securityContext: {supplementalGroups: [-1]}", "between 0 and 2147483647"},
		{"hostname: web_1", "RFC 1123 label"},
		{"subdomain: a.b", "must not contain dots"},
		{"activeDeadlineSeconds: 5", "not Supported"},
		{"dnsConfig: {nameservers: [dns.example.org]}", "valid IP address"},
		{"preemptionPolicy: never", "PreemptLowerPriority"},
		{"os: {name: Linux}", "linux"},
		{"readinessGates: [{conditionType: a b}]", "name part"},
		{"schedulingGates: [{name: a}, {name: a}]", "Duplicate"},
		{"runtimeClassName: A_B", "RFC 1123 subdomain"},
		{"resourceClaims: [{name: gpu}]", "must specify one of"},
		{"ephemeralContainers: [{name: a, image: a}]", "cannot be set on create"},
	}),
	invalidIn("web.yaml", "          command: [\"serve\"", "          ", [][2]string{
		{"terminationMessagePolicy: Fallback", "FallbackToLogsOnError"},
		{"lifecycle: {preStop: {}}", "must specify a handler type"},
		{"lifecycle: {preStop: {exec: {command: []}}}", "command: Required value"},
		{"lifecycle: {preStop: {sleep: {seconds: 60}}}", "less than terminationGracePeriodSeconds"},
		{"startupProbe: {tcpSocket: {port: 8080}, failureThreshold: -1}", "greater than or equal to 0"},
		{"startupProbe: {tcpSocket: {port: 8080}, successThreshold: 2}", "must be 1"},
		{"startupProbe: {httpGet: {port: 8080, scheme: https}}", "HTTPS"},
		{"startupProbe: {httpGet: {port: 70000}}", "between 1 and 65535"},
		{"startupProbe: {periodSeconds: 5}", "must specify a handler type"},
		{"startupProbe: {httpGet: {port: 8080, httpHeaders: [{name: \"a b\", value: c}]}}", "HTTP header"},
		{"resizePolicy: [{resourceName: gpu, restartPolicy: NotRequired}]", "\"cpu\", \"memory\""},
	}),
	invalidIn("web.yaml", "  ports:\n    - name: http\n      port: 80", "  ", [][2]string{
		{"type: Loadbalancer", "LoadBalancer"},
		{"sessionAffinity: clientIP", "ClientIP"},
		{"externalTrafficPolicy: Local", "externally-accessible"},
		{"internalTrafficPolicy: local", "Local"},
		{"ipFamilies: [ipv4]", "IPv4"},
		{"ipFamilyPolicy: DualStack", "PreferDualStack"},
		{"externalIPs: [a]", "valid IP address"},
		{"trafficDistribution: PreferNear", "PreferClose"},
		{"loadBalancerClass: a.b/c", "'LoadBalancer'"},
	}),
	invalidIn("scaling.yaml", "  minReplicas: 2\n", "  ", [][2]string{
		{"behavior: {scaleDown: {stabilizationWindowSeconds: 7200}}", "3600"},
		{"behavior: {scaleDown: {selectPolicy: min}}", "Min"},
		{"behavior: {scaleDown: {policies: [{type: Pods, value: 0, periodSeconds: 60}]}}", "greater than zero"},
	}),
	invalidIn("data.yaml", "  schedule: \"0 4 * * *\"\n", "  ", [][2]string{
		{"concurrencyPolicy: forbid", "Forbid"},
		{"timeZone: Europe/Atlantis", "unknown time zone"},
		{"startingDeadlineSeconds: -1", "greater than or equal to 0"},
		{"successfulJobsHistoryLimit: -1", "greater than or equal to 0"},
	}),
	invalidIn("data.yaml", "  accessModes: [ReadWriteMany]\n", "  ", [][2]string{
		{"volumeMode: block", "Block"},
		{"storageClassName: Fast_One", "RFC 1123 subdomain"},
		{"selector: {matchExpressions: [{key: a, operator: is}]}", "not a valid selector operator"},
	}),
	invalidIn("store.yaml", "  replicas: 2\n", "  ", [][2]string{
		{"podManagementPolicy: parallel", "Parallel"},
		{"updateStrategy: {type: Rolling}", "RollingUpdate"},
		{"persistentVolumeClaimRetentionPolicy: {whenDeleted: delete}", "Delete"},
		{"minReadySeconds: -1", "greater than or equal to 0"},
		{"ordinals: {start: -1}", "greater than or equal to 0"},
	}),
)

// invalidIn puts each of the lines in front of a text.
func invalidIn(file, before, indent string, lines [][2]string) (all []defect) {
	for _, line := range lines {
		at, _, _ := strings.Cut(line[0], "\n")
		all = append(all, defect{check: "field-valid", file: file, old: before, new: indent + line[0] + "\n" + before, at: at, says: line[1]})
	}
	return all
}
