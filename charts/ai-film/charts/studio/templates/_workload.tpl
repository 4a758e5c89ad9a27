{{/*
A workload with all that belongs to it: Deployment or StatefulSet, account, Service, PodDisruptionBudget and autoscaler.
  include "studio.workload" (list $ "flask" .Values.flask (include "flask" . | fromYaml))

The last argument is what the service states of itself:
  component       its part in the service, a label                          (required)
  workload        the name of the workload, if not the service's
  kind            Deployment (default) or StatefulSet
  governedBy      StatefulSet: the name of its headless Service
  replicas        if not the values' replicas
  recreate        true: the old pod ends before the new one starts
  port, portName  what it listens on; portName defaults to http
  serviceName     the Service's name, if not the workload's; "" for none
  serviceAnnotations
                  of the Service
  unscaled        true: the values' autoscaling is not this workload's
  management      true: health and metrics are on the management port, and callers show the service token
  foreign         true: not a program of ours, reads neither PORT nor DATA_DIR
  image, command, args, env, resources, mounts, volumes, initContainers, runtimeClassName, resourceClaims, preStop
                  as in a pod; image and resources default to the values'
  uses            of postgresql and redis, those it connects to
  queue           the metric of its queue and its labels, for an autoscaler
  nosecret        true: it takes nothing from the Secret
  claims          of images, videos, models, dagster, postgres, prometheus
  readOnly        true: it only reads them
  restartPolicy   of a Job's pod
  user            user and group id, 10001 unless stated
  account         the name of its account, if not the workload's
  token, grace, probes, checksum
*/}}
{{- define "studio.workload" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $values := index . 2 -}}
{{- $own := index . 3 -}}
{{- /* fromYaml tells of a mistake in a value, not in an error. */ -}}
{{- with $own.Error }}{{ fail (printf "%s: %s" $service .) }}{{ end -}}
{{- $workload := $own.workload | default $service -}}
{{- $kind := $own.kind | default "Deployment" -}}
{{- $replicas := int (hasKey $own "replicas" | ternary $own.replicas $values.replicas) -}}
{{- $own = merge (dict "replicas" $replicas) $own -}}
{{- $scaled := and (not $own.unscaled) (dig "autoscaling" "enabled" false $values) -}}
{{- $metadata := dict "root" $root "name" $workload "service" $service "component" $own.component -}}
{{- $selector := include "studio.selector" (list $root $service $own.component) -}}
apiVersion: apps/v1
kind: {{ $kind }}
{{ include "studio.metadata" $metadata }}
spec:
  {{- if not $scaled }}
  replicas: {{ $replicas }}
  {{- end }}
  {{- if eq $kind "StatefulSet" }}
  serviceName: {{ include "studio.name" (list $root $own.governedBy) }}
  podManagementPolicy: Parallel
  {{- else if $own.recreate }}
  strategy:
    type: Recreate
  {{- else }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  {{- end }}
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      {{- $selector | nindent 6 }}
  template:
    {{- include "studio.pod" (dict "root" $root "service" $service "workload" $workload "values" $values "own" $own) | nindent 4 }}
---
{{ include "studio.account" (merge (dict "annotations" (dig "serviceAccount" "annotations" dict $values)) $metadata) }}
{{- if and $own.port (ne (toString $own.serviceName) "") }}
---
{{ include "studio.service" (dict "root" $root "service" $service "own" $own "name" ($own.serviceName | default $workload) "headless" false) }}
{{- end }}
{{- if and $own.governedBy (ne $own.governedBy $own.serviceName) }}
---
{{ include "studio.service" (dict "root" $root "service" $service "own" $own "name" $own.governedBy "headless" true) }}
{{- end }}
{{- /* On one node there is nowhere to go: a budget would only keep the node from being drained. */}}
{{- if and (gt $replicas 1) (not $own.recreate) (not $root.Values.global.singleNode) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
{{ include "studio.metadata" $metadata }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- $selector | nindent 6 }}
{{- end }}
{{- if $scaled }}
---
{{ include "studio.autoscaler" (dict "root" $root "kind" $kind "workload" $workload "metadata" $metadata "minimum" $replicas "autoscaling" $values.autoscaling "queue" $own.queue) }}
{{- end }}
{{- end -}}

{{/* Who a pod is in the cluster. Pods that speak to the API server ask for the token themselves. */}}
{{- define "studio.account" -}}
apiVersion: v1
kind: ServiceAccount
{{ include "studio.metadata" . }}
automountServiceAccountToken: false
{{- end -}}

{{/* A Service in front of a workload, or the headless one that gives a StatefulSet's pods their names. */}}
{{- define "studio.service" -}}
apiVersion: v1
kind: Service
{{ include "studio.metadata" (dict "root" .root "name" .name "service" .service "component" .own.component "annotations" .own.serviceAnnotations) }}
spec:
  type: ClusterIP
  {{- with .root.Values.global.ipFamilyPolicy }}
  ipFamilyPolicy: {{ . }}
  {{- end }}
  {{- if .headless }}
  clusterIP: None
  {{- end }}
  selector:
    {{- include "studio.selector" (list .root .service .own.component) | nindent 4 }}
  ports:
    - name: {{ .own.portName | default "http" }}
      port: {{ .own.port }}
      targetPort: {{ .own.portName | default "http" }}
{{- end -}}

{{/*
What lets the number of pods follow the load: the queue where something measures it (metrics.queues), else the CPU. One job
keeps every CPU of its limit busy whether others wait or not, so the CPU says little of a queue. The replicas of the values
are the minimum.
*/}}
{{- define "studio.autoscaler" -}}
{{- $queue := .queue | default dict -}}
{{- $queues := empty $queue | ternary "none" .root.Umbrella.Values.metrics.queues -}}
{{- $labels := $queue.labels | default dict -}}
{{- $namespace := .root.Release.Namespace -}}
{{- $down := dict "stabilizationWindowSeconds" 600 "policies" (list (dict "type" "Pods" "value" 1 "periodSeconds" 120)) -}}
{{- $up := dict "stabilizationWindowSeconds" 0 "policies" (list (dict "type" "Pods" "value" 2 "periodSeconds" 30)) -}}
{{- $behavior := merge (dict) (deepCopy .autoscaling.behavior) (dict "scaleDown" ($queue.scaleDown | default $down) "scaleUp" $up) -}}
{{- if and (eq $queues "keda") (not .autoscaling.metrics) -}}
{{- $selector := list (printf "namespace=%q" $namespace) -}}
{{- range $name, $value := $labels }}{{ $selector = append $selector (printf "%s=%q" $name $value) }}{{ end -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
{{ include "studio.metadata" .metadata }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {{ .kind }}
    name: {{ include "studio.name" (list .root .workload) }}
  minReplicaCount: {{ .minimum }}
  maxReplicaCount: {{ .autoscaling.maxReplicas }}
  cooldownPeriod: {{ dig "scaleDown" "stabilizationWindowSeconds" 600 $behavior }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- toYaml $behavior | nindent 8 }}
  triggers:
    - type: prometheus
      metadata:
        serverAddress: {{ .root.Umbrella.Values.metrics.prometheusURL | default (printf "http://%s.%s:9090" (include "studio.name" (list .root "prometheus")) $namespace) }}
        query: {{ printf "sum(%s{%s})" $queue.metric (join "," $selector) | quote }}
        threshold: {{ .autoscaling.targetQueueLength | quote }}
{{- else -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
{{ include "studio.metadata" .metadata }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {{ .kind }}
    name: {{ include "studio.name" (list .root .workload) }}
  minReplicas: {{ .minimum }}
  maxReplicas: {{ .autoscaling.maxReplicas }}
  metrics:
    {{- with .autoscaling.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    {{- if eq $queues "none" }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ .autoscaling.targetCPUUtilization }}
    {{- else }}
    - type: External
      external:
        metric:
          name: {{ eq $queues "gke" | ternary (printf "prometheus.googleapis.com|%s|gauge" $queue.metric) $queue.metric }}
          selector:
            matchLabels:
              {{- $prefix := eq $queues "gke" | ternary "metric.labels." "" }}
              {{- range $name, $value := $labels }}
              {{ $prefix }}{{ $name }}: {{ $value }}
              {{- end }}
              {{ eq $queues "gke" | ternary "resource.labels." "" }}namespace: {{ $namespace }}
        target:
          type: AverageValue
          averageValue: {{ .autoscaling.targetQueueLength | quote }}
    {{- end }}
    {{- end }}
  behavior:
    {{- toYaml $behavior | nindent 4 }}
{{- end }}
{{- end -}}
