{{/*
A workload with all that belongs to it: Deployment or StatefulSet, Service, PodDisruptionBudget and autoscaler.
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
  image, command, args, workingDir, env, resources, mounts, volumes, initContainers, runtimeClassName, preStop
                  as in a pod; image and resources default to the values'
  claims          of images, videos, models, dagster, postgres
  user            user and group id, 10001 unless stated
  serviceAccount, token, grace, probes, checksum
*/}}
{{- define "studio.workload" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $values := index . 2 -}}
{{- $own := index . 3 -}}
{{- /* fromYaml tells of a mistake in a value, not in an error. */ -}}
{{- with $own.Error }}{{ fail (printf "%s: %s" $service .) }}{{ end -}}
{{- $workload := include "studio.name" (list $root ($own.workload | default $service)) -}}
{{- $kind := $own.kind | default "Deployment" -}}
{{- $replicas := int (hasKey $own "replicas" | ternary $own.replicas $values.replicas) -}}
{{- $own = merge (dict "replicas" $replicas) $own -}}
{{- $scaled := and (not $own.unscaled) (dig "autoscaling" "enabled" false $values) -}}
{{- $labels := include "studio.labels" (list $root $service $own.component) -}}
{{- $selector := include "studio.selector" (list $root $service $own.component) -}}
apiVersion: apps/v1
kind: {{ $kind }}
metadata:
  name: {{ $workload }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
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
    {{- include "studio.pod" (dict "root" $root "service" $service "workload" ($own.workload | default $service) "values" $values "own" $own) | nindent 4 }}
{{- if and $own.port (ne (toString $own.serviceName) "") }}
---
{{ include "studio.service" (dict "root" $root "service" $service "own" $own "name" ($own.serviceName | default $own.workload | default $service) "headless" false) }}
{{- end }}
{{- if and $own.governedBy (ne $own.governedBy $own.serviceName) }}
---
{{ include "studio.service" (dict "root" $root "service" $service "own" $own "name" $own.governedBy "headless" true) }}
{{- end }}
{{- if and (gt $replicas 1) (not $own.recreate) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $workload }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- $selector | nindent 6 }}
{{- end }}
{{- if $scaled }}
---
{{ include "studio.autoscaler" (dict "root" $root "kind" $kind "workload" $workload "labels" $labels "minimum" $replicas "autoscaling" $values.autoscaling) }}
{{- end }}
{{- end -}}

{{/* A Service in front of a workload, or the headless one that gives a StatefulSet's pods their names. */}}
{{- define "studio.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "studio.name" (list .root .name) }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "studio.labels" (list .root .service .own.component) | nindent 4 }}
  {{- with .own.serviceAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: ClusterIP
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

{{/* A HorizontalPodAutoscaler on CPU, unless the values name other metrics. The replicas of the values are its minimum. */}}
{{- define "studio.autoscaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .workload }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- .labels | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {{ .kind }}
    name: {{ .workload }}
  minReplicas: {{ .minimum }}
  maxReplicas: {{ .autoscaling.maxReplicas }}
  metrics:
    {{- with .autoscaling.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ .autoscaling.targetCPUUtilization }}
    {{- end }}
  {{- with .autoscaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
