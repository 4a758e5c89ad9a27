{{/* What all exporters have in common. They have no Service: who collects finds their pods. */}}
{{- define "exporter" -}}
component: exporter
serviceName: ""
portName: metrics
foreign: true
replicas: 1
preStop:
  sleep:
    seconds: 2
{{- end -}}

{{- define "monitoring.postgresql-exporter" -}}
{{- $own := include "exporter" . | fromYaml -}}
{{- include "studio.workload" (list $ "postgresql" .Values.postgresql (merge (include "postgresql-exporter" . | fromYaml) $own)) }}
{{- end -}}

{{- define "postgresql-exporter" -}}
workload: postgresql-exporter
port: 9187
command: [postgres_exporter]
args: ["--web.listen-address=:9187"]
env:
  - name: DATA_SOURCE_URI
    value: {{ include "studio.name" (list $ "postgresql") }}:5432/postgres?sslmode=disable
  - name: DATA_SOURCE_USER
    value: monitor
  {{- include "studio.env.secret" (list $ "DATA_SOURCE_PASS" "monitor-password") | nindent 2 }}
probes:
  {{- include "monitoring.probes" (list "metrics" "/" "/") | nindent 2 }}
{{- end -}}

{{- define "monitoring.redis-exporter" -}}
{{- $own := include "exporter" . | fromYaml -}}
{{- include "studio.workload" (list $ "redis" .Values.redis (merge (include "redis-exporter" . | fromYaml) $own)) }}
{{- end -}}

{{- define "redis-exporter" -}}
workload: redis-exporter
port: 9121
command: [/redis_exporter]
args: ["--web.listen-address=:9121"]
env:
  - name: REDIS_ADDR
    value: redis://{{ include "studio.name" (list $ "redis") }}:6379
  {{- include "studio.env.secret" (list $ "REDIS_PASSWORD" "redis-password") | nindent 2 }}
probes:
  {{- include "monitoring.probes" (list "metrics" "/health" "/health") | nindent 2 }}
{{- end -}}

{{- define "monitoring.kube-state-metrics" -}}
{{- $own := include "exporter" . | fromYaml -}}
{{- include "studio.workload" (list $ "kube-state-metrics" .Values.kubeStateMetrics (merge (include "kube-state-metrics" . | fromYaml) $own)) }}
---
{{ include "monitoring.role" (list $ "kube-state-metrics" "exporter" (include "kube-state-metrics.rules" .)) }}
{{- end -}}

{{- define "kube-state-metrics.rules" -}}
- apiGroups: [""]
  resources: [pods, persistentvolumeclaims]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [list, watch]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [list, watch]
{{- end -}}

{{- define "kube-state-metrics" -}}
port: 8080
nosecret: true
token: true
args:
  - --port=8080
  - --telemetry-port=8081
  - --namespaces={{ .Release.Namespace }}
  - --resources=pods,persistentvolumeclaims,deployments,statefulsets,jobs,cronjobs
probes:
  {{- include "monitoring.probes" (list "metrics" "/livez" "/healthz") | nindent 2 }}
{{- end -}}

{{/*
An exporter on each node that its values let it on.
  include "exporter.each" (list $ "node" .Values.node (include "node-exporter" .))
*/}}
{{- define "exporter.each" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $values := index . 2 -}}
{{- $name := printf "%s-exporter" $service -}}
{{- $metadata := dict "root" $root "name" $name "service" $service "component" "exporter" -}}
{{- $own := merge (index . 3 | fromYaml) (include "exporter" $root | fromYaml) -}}
apiVersion: apps/v1
kind: DaemonSet
{{ include "studio.metadata" $metadata }}
spec:
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      {{- include "studio.selector" (list $root $service "exporter") | nindent 6 }}
  template:
    {{- include "studio.pod" (dict "root" $root "service" $service "workload" $name "values" $values "own" $own) | nindent 4 }}
---
{{ include "studio.account" (merge (dict "annotations" $values.serviceAccount.annotations) $metadata) }}
{{- end -}}

{{- define "monitoring.node-exporter" -}}
{{- include "exporter.each" (list $ "node" .Values.node (include "node-exporter" .)) }}
{{- end -}}

{{/* Every pod sees its node's CPU and memory in /proc; disks and networks it would see its own. */}}
{{- define "node-exporter" -}}
port: 9100
nosecret: true
command: [node_exporter]
args: ["--web.listen-address=:9100", --collector.disable-defaults, --collector.cpu, --collector.meminfo]
probes:
  {{- include "monitoring.probes" (list "metrics" "/" "/") | nindent 2 }}
{{- end -}}

{{/* Where ComfyUI's servers go, there are GPUs. */}}
{{- define "monitoring.dcgm-exporter" -}}
{{- $comfyui := .Umbrella.Values.processing.comfyui -}}
{{- $placed := dict "nodeSelector" (merge (dict) .Values.dcgm.nodeSelector $comfyui.nodeSelector) "tolerations" (concat .Values.dcgm.tolerations $comfyui.tolerations)
  "podSecurityContext" (merge (dict) .Values.dcgm.podSecurityContext (dict "runAsNonRoot" false "runAsUser" 0 "runAsGroup" 0)) -}}
{{- include "exporter.each" (list $ "dcgm" (merge $placed .Values.dcgm) (include "dcgm-exporter" .)) }}
{{- end -}}

{{- define "dcgm-exporter" -}}
port: 9400
nosecret: true
runtimeClassName: {{ .Umbrella.Values.processing.comfyui.runtimeClassName | quote }}
env:
  - name: DCGM_EXPORTER_LISTEN
    value: ":9400"
  # Whose pod each GPU is: the kubelet says so, by a socket that is root's.
  - name: DCGM_EXPORTER_KUBERNETES
    value: "true"
  - name: NVIDIA_VISIBLE_DEVICES
    value: all
  - name: NODE_NAME
    valueFrom:
      fieldRef:
        fieldPath: spec.nodeName
probes:
  {{- include "monitoring.probes" (list "metrics" "/health" "/health") | nindent 2 }}
mounts:
  - name: pod-resources
    mountPath: /var/lib/kubelet/pod-resources
    readOnly: true
volumes:
  - name: pod-resources
    hostPath:
      path: /var/lib/kubelet/pod-resources
{{- end -}}
