{{/* Where a container finds the ConfigMap, as DAGSTER_HOME. */}}
{{- define "dagster.home" -}}/opt/dagster/home{{- end -}}

{{/* The address that Dagster's servers listen on. */}}
{{- define "dagster.listen" -}}
{{ .Values.global.ipv6 | ternary "'::'" "0.0.0.0" }}
{{- end -}}

{{/* The environment of webserver, daemon, code server and runs: where the studio's other services are. */}}
{{- define "dagster.env" -}}
- name: DAGSTER_HOME
  value: {{ include "dagster.home" . }}
{{ include "studio.env.database" (list $ "DAGSTER_PG_URL" "dagster") }}
{{ include "studio.env.database" (list $ "STUDIO_DATABASE_URL" "studio") }}
{{ include "studio.env.redis" $ }}
{{ include "studio.env.token" $ }}
{{- range $name, $at := dict "LANGGRAPH_URL" "langgraph:8080" "COMFYUI_URL" "comfyui:8188" "BLENDER_URL" "blender:9876" "OPENCV_URL" "opencv:8000" "FFMPEG_URL" "ffmpeg:8080" }}
- name: {{ $name }}
  value: http://{{ include "studio.name" (list $ $at) }}
{{- end }}
- name: COMFYUI_CHECKPOINT
  value: {{ .Values.global.comfyui.checkpoint | quote }}
- name: COMFYUI_STEPS
  value: {{ .Values.global.comfyui.steps | quote }}
- name: FILM_TIME_LIMIT
  value: {{ .Values.dagster.run.timeLimitSeconds | quote }}
{{- end -}}

{{/*
What tells the outputs of one release of a service from those of another: its image, and a hash of the settings that change
what it makes. A film takes parts of other films only where the services that made them are the same. Runs read it when they start,
from a ConfigMap of its own, so that no pod of Dagster's has to start anew for it.
*/}}
{{- define "dagster.releases" -}}
{{- $processing := .Umbrella.Values.processing -}}
{{- $comfyui := $processing.comfyui -}}
{{- $server := has $comfyui.mode (list "gpu" "cpu") | ternary $comfyui.server.image $comfyui.image -}}
{{- range $name, $made := dict
  "COMFYUI" (list $server $comfyui (list $comfyui.mode $comfyui.server.args $comfyui.remote.urls))
  "BLENDER" (list $processing.blender.image $processing.blender (list $processing.blender.samples))
  "OPENCV" (list $processing.opencv.image $processing.opencv list)
  "FFMPEG" (list .Umbrella.Values.data.ffmpeg.image .Umbrella.Values.data.ffmpeg list) }}
{{- $values := index $made 1 }}
{{ $name }}: {{ include "studio.image" (list $ (index $made 0)) }} {{ list $values.env $values.extraEnv (index $made 2) | toJson | sha256sum | trunc 12 }}
{{- end }}
{{- end -}}

{{- define "dagster.releasesEnv" -}}
{{- range list "COMFYUI" "BLENDER" "OPENCV" "FFMPEG" }}
- name: {{ . }}_VERSION
  valueFrom:
    configMapKeyRef:
      name: {{ include "studio.name" (list $ "dagster-releases") }}
      key: {{ . }}
{{- end }}
{{- end -}}

{{/* The instance, for all of Dagster but the webserver. */}}
{{- define "dagster.instance" -}}
storage:
  postgres:
    postgres_url:
      env: DAGSTER_PG_URL
# Runs are pods of their own; what they print crosses to the webserver on the volume.
compute_logs:
  module: dagster.core.storage.local_compute_log_manager
  class: LocalComputeLogManager
  config:
    base_dir: /data/dagster/logs
local_artifact_storage:
  module: dagster.core.storage.root
  class: LocalArtifactStorage
  config:
    base_dir: /data/dagster/storage
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_concurrent_runs: {{ .Values.dagster.run.maxConcurrent }}
    dequeue_interval_seconds: 2
# A run whose pod was killed is noticed within seconds; the sensor then starts another, which goes on with what is there.
run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  start_timeout_seconds: 600
  cancel_timeout_seconds: 120
  max_resume_run_attempts: 0
run_retries:
  enabled: false
telemetry:
  enabled: false
nux:
  enabled: false
run_launcher:
  module: dagster_k8s
  class: K8sRunLauncher
  config:
    job_namespace: {{ .Release.Namespace }}
    load_incluster_config: true
    service_account_name: {{ include "studio.name" (list $ "dagster-run") }}
    job_image: {{ include "studio.image" (list $ .Values.dagster.image) }}
    image_pull_policy: {{ .Values.dagster.image.pullPolicy }}
    {{- with include "studio.pullSecrets" . }}
    image_pull_secrets:
      {{- . | nindent 6 }}
    {{- end }}
    dagster_home: {{ include "dagster.home" . }}
    instance_config_map: {{ include "studio.name" (list $ "dagster") }}
    # Nothing of a run's pod can be set by who submits it: a tag could otherwise make it privileged, on the node's files, under
    # any account. A run that tries is not launched.
    only_allow_user_defined_k8s_config_fields:
      container_config: {}
      pod_spec_config: {}
      pod_template_spec_metadata: {}
      job_metadata: {}
      job_spec_config: {}
      namespace: false
    only_allow_user_defined_env_vars: []
    run_k8s_config:
      {{- include "dagster.run" . | nindent 6 }}
{{- end -}}

{{/* A run's Job: the same restrictions, placement, labels and volumes as every other pod of the studio, and no token. */}}
{{- define "dagster.run" -}}
{{- $labels := include "studio.podLabels" (list $ "dagster" "run" true .Values.dagster) -}}
{{- $annotations := include "studio.common" (list $ "commonAnnotations" (include "studio.table" .Values.dagster.podAnnotations | fromYaml)) -}}
job_metadata:
  labels:
    {{- $labels | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
job_spec_config:
  backoffLimit: 0
  # Longer than any film may take; the films' own time ends runs before.
  activeDeadlineSeconds: 259200
  ttlSecondsAfterFinished: 3600
pod_template_spec_metadata:
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    # A node that is wanted empty waits for the film's run to end.
    cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
    {{- with $annotations }}
    {{- . | nindent 4 }}
    {{- end }}
pod_spec_config:
  {{- omit (include "studio.podSpec" (list $ .Values.dagster true "dagster-run" 10001) | fromYaml) "serviceAccountName" "imagePullSecrets" | toYaml | nindent 2 }}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 60
  volumes:
    {{- include "studio.volumes" (list $ .Values.dagster (list "images" "videos" "dagster") (list "postgresql" "redis")) | nindent 4 }}
container_config:
  resources:
    {{- include "studio.resources" .Values.dagster.run.resources | nindent 4 }}
  securityContext:
    {{- include "studio.containerSecurity" $ | nindent 4 }}
  env:
    {{- include "studio.env" (list (concat (list (dict "name" "DATA_DIR" "value" "/data")) (include "dagster.env" . | fromYamlArray) (include "dagster.releasesEnv" . | fromYamlArray)) .Values.dagster) | nindent 4 }}
  {{- with .Values.dagster.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    {{- range list "images" "videos" "dagster" }}
    - name: {{ . }}
      mountPath: /data/{{ . }}
    {{- end }}
    {{- with include "studio.certificates.mounts" (list $ (list "postgresql" "redis")) | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with .Values.dagster.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "dagster.config" -}}
{{- $instance := include "dagster.instance" . -}}
dagster.yaml: |
  {{- $instance | nindent 2 }}
# The webserver launches nothing and has no token to do it with.
webserver.yaml: |
  {{- omit ($instance | fromYaml) "run_launcher" | toYaml | nindent 2 }}
workspace.yaml: |
  load_from:
    - grpc_server:
        host: {{ include "studio.name" (list $ "dagster-code") }}
        port: 4000
        location_name: studio
migrate.py: |
  {{- .Files.Get "files/migrate.py" | nindent 2 }}
{{- end -}}

{{/* What webserver, daemon and code server have in common. */}}
{{- define "dagster.common" -}}
checksum: {{ include "dagster.config" . | sha256sum }}
uses: [postgresql, redis]
env:
  {{- include "dagster.env" . | nindent 2 }}
initContainers:
  {{- include "dagster.migrate" . | nindent 2 }}
preStop:
  sleep:
    seconds: 5
mounts:
  - name: config
    mountPath: {{ include "dagster.home" . }}
    readOnly: true
volumes:
  - name: config
    configMap:
      name: {{ include "studio.name" (list $ "dagster") }}
{{- end -}}

{{/* Waits for PostgreSQL and brings Dagster's tables up to date, so that no process starts into a missing schema. */}}
{{- define "dagster.migrate" -}}
- name: migrate
  image: {{ include "studio.image" (list $ .Values.dagster.image) }}
  imagePullPolicy: {{ .Values.dagster.image.pullPolicy }}
  command: [python3, {{ include "dagster.home" . }}/migrate.py]
  env:
    - name: IMAGE
      value: {{ include "studio.image" (list $ .Values.dagster.image) }}
    {{- include "studio.env" (list (include "dagster.env" . | fromYamlArray) .Values.dagster) | nindent 4 }}
  {{- with .Values.dagster.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  resources:
    {{- include "studio.resources" .Values.dagster.daemon.resources | nindent 4 }}
  securityContext:
    {{- include "studio.containerSecurity" $ | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    - name: config
      mountPath: {{ include "dagster.home" . }}
      readOnly: true
    {{- with include "studio.certificates.mounts" (list $ (list "postgresql")) | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with .Values.dagster.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
