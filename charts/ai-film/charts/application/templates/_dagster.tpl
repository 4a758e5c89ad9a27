{{/* Where a container finds the ConfigMap, as DAGSTER_HOME. */}}
{{- define "dagster.home" -}}/opt/dagster/home{{- end -}}

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
{{- end -}}

{{/* The instance: the same file for webserver, daemon, code server and runs. */}}
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
    service_account_name: {{ include "studio.name" (list $ "dagster") }}
    job_image: {{ include "studio.image" (list $ .Values.dagster.image) }}
    image_pull_policy: {{ .Values.dagster.image.pullPolicy }}
    {{- with .Values.global.imagePullSecrets }}
    image_pull_secrets:
      {{- range . }}
      - name: {{ . }}
      {{- end }}
    {{- end }}
    dagster_home: {{ include "dagster.home" . }}
    instance_config_map: {{ include "studio.name" (list $ "dagster") }}
    run_k8s_config:
      {{- include "dagster.run" . | nindent 6 }}
{{- end -}}

{{/* A run's Job: the same restrictions, labels and volumes as every other pod of the studio, and no token. */}}
{{- define "dagster.run" -}}
job_metadata:
  labels: &labels
    app.kubernetes.io/name: dagster
    app.kubernetes.io/instance: {{ .Release.Name }}
    app.kubernetes.io/component: run
    app.kubernetes.io/part-of: ai-film
    ai-film/shares-volumes: "true"
job_spec_config:
  backoffLimit: 0
  # Longer than any film may take; the films' own time ends runs before.
  activeDeadlineSeconds: 259200
  ttlSecondsAfterFinished: 3600
pod_template_spec_metadata:
  labels: *labels
  # A node that is wanted empty waits for the film's run to end.
  annotations:
    cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
pod_spec_config:
  enableServiceLinks: false
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 60
  securityContext:
    {{- include "studio.podSecurity" 10001 | nindent 4 }}
  {{- with include "studio.table" .Values.dagster.nodeSelector }}
  nodeSelector:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with .Values.dagster.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "studio.affinity" (list $ .Values.dagster.affinity true) }}
  affinity:
    {{- . | nindent 4 }}
  {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- include "studio.claimVolumes" (list $ (list "images" "videos" "dagster")) | nindent 4 }}
container_config:
  resources:
    {{- include "studio.resources" .Values.dagster.run.resources | nindent 4 }}
  securityContext:
    {{- include "studio.containerSecurity" $ | nindent 4 }}
  env:
    - name: DATA_DIR
      value: /data
    {{- include "dagster.env" . | nindent 4 }}
    {{- range $name := list "comfyui" "blender" "opencv" "ffmpeg" }}
    - name: {{ upper $name }}_VERSION
      valueFrom:
        configMapKeyRef:
          name: {{ include "studio.name" (list $ "releases") }}
          key: {{ $name }}
    {{- end }}
    {{- with include "studio.env.table" .Values.dagster.env }}
    {{- . | nindent 4 }}
    {{- end }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    {{- range list "images" "videos" "dagster" }}
    - name: {{ . }}
      mountPath: /data/{{ . }}
    {{- end }}
{{- end -}}

{{- define "dagster.config" -}}
dagster.yaml: |
  {{- include "dagster.instance" . | nindent 2 }}
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
    {{- include "dagster.env" . | nindent 4 }}
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
{{- end -}}
