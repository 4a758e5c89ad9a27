{{- define "prometheus" -}}
component: server
port: 9090
portName: metrics
foreign: true
nosecret: true
token: true
# The volume is attached to one node, and two servers in one directory would spoil it.
recreate: true
replicas: 1
claims: [prometheus]
checksum: {{ include "prometheus.config" . | sha256sum }}
command: [prometheus]
args:
  - --config.file=/etc/prometheus/prometheus.yml
  - --storage.tsdb.path=/data/prometheus
  - --storage.tsdb.retention.time={{ .Values.prometheus.retentionTime }}
  - --storage.tsdb.retention.size={{ .Values.prometheus.retentionSize }}
  - --web.listen-address=:9090
grace: 120
preStop:
  sleep:
    seconds: 2
probes:
  {{- include "monitoring.probes" (list "metrics" "/-/healthy" "/-/ready") | nindent 2 }}
mounts:
  - name: config
    mountPath: /etc/prometheus
    readOnly: true
volumes:
  - name: config
    configMap:
      name: {{ include "studio.name" (list $ "prometheus") }}
{{- end -}}

{{- define "prometheus.config" -}}
prometheus.yml: |
  global:
    scrape_interval: {{ .Values.prometheus.interval }}
    evaluation_interval: {{ .Values.prometheus.interval }}
  rule_files: [/etc/prometheus/rules-*.yaml]
  {{- if .Pods.alertmanager }}
  alerting:
    alertmanagers:
      - static_configs:
          - targets: [{{ include "studio.name" (list $ "alertmanager") }}:9093]
  {{- end }}
  scrape_configs:
    # Every pod of the studio that has metrics. Its job is the service's name, an exporter's that of what it measures.
    - job_name: studio
      # Exporters say of other pods what they are: a GPU's, a Job's.
      honor_labels: true
      kubernetes_sd_configs: &pods
        - role: pod
          namespaces:
            own_namespace: true
          selectors:
            - role: pod
              label: app.kubernetes.io/instance={{ .Release.Name }},app.kubernetes.io/part-of=ai-film
      relabel_configs:
        - source_labels: [__meta_kubernetes_pod_container_port_name]
          regex: management|metrics
          action: keep
        - source_labels: [__meta_kubernetes_pod_phase]
          regex: Succeeded|Failed
          action: drop
        - source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name]
          target_label: job
        - source_labels: [__meta_kubernetes_namespace]
          target_label: namespace
        - source_labels: [__meta_kubernetes_pod_name]
          target_label: pod
        - source_labels: [__meta_kubernetes_pod_container_name]
          target_label: container
  {{- if .Values.prometheus.kubelet }}
  {{- range $path, $kept := dict
    "/metrics" "kubelet_volume_stats_(available|capacity|used)_bytes"
    "/metrics/resource" "(container|node)_(cpu_usage_seconds_total|memory_working_set_bytes)"
    "/metrics/cadvisor" "container_cpu_cfs_(throttled_)?periods_total|machine_(cpu_cores|memory_bytes)" }}
    # The kubelets of the nodes that the studio's pods are on: many pods on one node are one target.
    - job_name: kubelet{{ $path }}
      scheme: https
      metrics_path: {{ $path }}
      authorization:
        credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token
      # Most kubelets sign their certificates themselves.
      tls_config:
        insecure_skip_verify: true
      kubernetes_sd_configs: *pods
      relabel_configs:
        - source_labels: [__meta_kubernetes_pod_host_ip]
          regex: ([^:]+)
          target_label: __address__
          replacement: $1:10250
        - source_labels: [__meta_kubernetes_pod_host_ip]
          regex: (.*:.*)
          target_label: __address__
          replacement: "[$1]:10250"
        - source_labels: [__meta_kubernetes_pod_host_ip]
          regex: .+
          action: keep
        - target_label: job
          replacement: kubelet
        - target_label: metrics_path
          replacement: {{ $path }}
        - source_labels: [__meta_kubernetes_pod_node_name]
          target_label: node
      metric_relabel_configs:
        - source_labels: [__name__]
          regex: {{ $kept }}
          action: keep
        # What others run on the node is none of the studio's business.
        - source_labels: [namespace]
          regex: {{ $.Release.Namespace }}|
          action: keep
  {{- end }}
  {{- end }}
{{- if .Values.rules.enabled }}
{{- range $file, $_ := .Files.Glob "rules/*.yaml" }}
rules-{{ base $file }}: |
  {{- include "monitoring.rule" (list $ $file) | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "monitoring.prometheus" -}}
{{- $metadata := dict "root" $ "name" "prometheus" "service" "prometheus" "component" "server" -}}
apiVersion: v1
kind: ConfigMap
{{ include "studio.metadata" $metadata }}
data:
  {{- include "prometheus.config" . | nindent 2 }}
---
{{ include "studio.workload" (list $ "prometheus" .Values.prometheus (include "prometheus" . | fromYaml)) }}
---
{{ include "monitoring.role" (list $ "prometheus" "server" "- apiGroups: [\"\"]\n  resources: [pods]\n  verbs: [list, watch]") }}
{{- if .Values.prometheus.kubelet }}
{{- $cluster := printf "%s-%s" .Release.Namespace (include "studio.name" (list $ "prometheus")) }}
---
# Nodes are in no namespace: the one thing of the chart that reaches beyond its own.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $cluster }}
  labels:
    {{- include "studio.labels" (list $ "prometheus" "server") | nindent 4 }}
  {{- with include "studio.common" (list $ "commonAnnotations" dict) }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
rules:
  - apiGroups: [""]
    resources: [nodes/metrics]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $cluster }}
  labels:
    {{- include "studio.labels" (list $ "prometheus" "server") | nindent 4 }}
  {{- with include "studio.common" (list $ "commonAnnotations" dict) }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $cluster }}
subjects:
  - kind: ServiceAccount
    name: {{ include "studio.name" (list $ "prometheus") }}
    namespace: {{ .Release.Namespace }}
{{- end }}
{{- end -}}
