{{/*
The pod template of a workload. It takes the dict that studio.workload makes:
  root, service, workload, values  where it stands and what the user set
  own                              what the service states of itself, see studio.workload
*/}}
{{- define "studio.pod" -}}
{{- $root := .root -}}
{{- $values := .values -}}
{{- $own := .own -}}
{{- $shared := without ($own.claims | default list) "postgres" -}}
metadata:
  labels:
    {{- include "studio.selector" (list $root .service $own.component) | nindent 4 }}
    app.kubernetes.io/part-of: ai-film
    {{- if $shared }}
    ai-film/shares-volumes: "true"
    {{- end }}
  {{- with $own.checksum }}
  annotations:
    # A pod keeps the configuration it started with; a new sum brings a new pod.
    checksum/config: {{ . }}
  {{- end }}
spec:
  # A Service named redis would put REDIS_PORT=tcp://… into every pod's environment.
  enableServiceLinks: false
  automountServiceAccountToken: {{ $own.token | default false }}
  {{- with $own.serviceAccount }}
  serviceAccountName: {{ . }}
  {{- end }}
  {{- with $root.Values.global.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with $own.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $own.grace | default 30 }}
  securityContext:
    {{- include "studio.podSecurity" ($own.user | default 10001) | nindent 4 }}
  {{- with include "studio.table" $values.nodeSelector }}
  nodeSelector:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "studio.affinity" (list $root $values.affinity (not (empty $shared))) }}
  affinity:
    {{- . | nindent 4 }}
  {{- end }}
  {{- if and (gt (int $own.replicas) 1) (not $root.Values.global.singleNode) }}
  # Replicas on one node fall with it. Only a wish: a studio on a single node must still start.
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "studio.selector" (list $root .service $own.component) | nindent 10 }}
  {{- end }}
  {{- with $own.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .workload }}
      image: {{ include "studio.image" (list $root ($own.image | default $values.image)) }}
      imagePullPolicy: {{ ($own.image | default $values.image).pullPolicy }}
      {{- with $own.command }}
      command:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $own.args }}
      args:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $own.workingDir }}
      workingDir: {{ . }}
      {{- end }}
      env:
        {{- if not $own.foreign }}
        - name: PORT
          value: {{ $own.port | quote }}
        - name: DATA_DIR
          value: /data
        {{- if $own.management }}
        - name: MANAGEMENT_PORT
          value: "8081"
        {{- include "studio.env.token" $root | nindent 8 }}
        {{- end }}
        {{- end }}
        {{- with $own.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- with include "studio.env.table" $values.env }}
        {{- . | nindent 8 }}
        {{- end }}
      {{- if $own.port }}
      ports:
        - name: {{ $own.portName | default "http" }}
          containerPort: {{ $own.port }}
        {{- if $own.management }}
        # Health and metrics, served apart from the crowd; no Service leads here.
        - name: management
          containerPort: 8081
        {{- end }}
      {{- end }}
      {{- include "studio.probes" $own | trim | nindent 6 }}
      {{- with $own.preStop }}
      lifecycle:
        preStop:
          {{- toYaml . | nindent 10 }}
      {{- end }}
      resources:
        {{- include "studio.resources" ($own.resources | default $values.resources) | nindent 8 }}
      securityContext:
        {{- include "studio.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- range $own.claims }}
        - name: {{ . }}
          mountPath: {{ if eq . "postgres" }}/var/lib/postgresql/data{{ else }}/data/{{ . }}{{ end }}
        {{- end }}
        {{- with $own.mounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- with include "studio.claimVolumes" (list $root $own.claims) }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with $own.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/*
The volumes of the named claims.
  include "studio.claimVolumes" (list $ (list "images" "videos"))
*/}}
{{- define "studio.claimVolumes" -}}
{{- $root := index . 0 -}}
{{- range $i, $claim := index . 1 -}}
{{- if $i }}
{{ end -}}
- name: {{ $claim }}
  persistentVolumeClaim:
    claimName: {{ include "studio.name" (list $root (printf "%s-pvc" $claim)) }}
{{- end -}}
{{- end -}}

{{/* Pod Security `restricted`, for the user id given. */}}
{{- define "studio.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
# Without this the kubelet walks every frame of every film at each start of a pod.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Pod Security `restricted`, for the container. */}}
{{- define "studio.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/*
The user's affinity and, with global.singleNode, the rule that keeps every pod that shares a volume on one node: a
ReadWriteOnce volume is attached to a single node, and a pod elsewhere would wait for it for ever.
  include "studio.affinity" (list $ .Values.flask.affinity true)
*/}}
{{- define "studio.affinity" -}}
{{- $root := index . 0 -}}
{{- $affinity := deepCopy (index . 1 | default dict) -}}
{{- if and (index . 2) $root.Values.global.singleNode -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (dict "ai-film/shares-volumes" "true" "app.kubernetes.io/instance" $root.Release.Name)) -}}
{{- $pods := get $affinity "podAffinity" | default dict -}}
{{- $required := get $pods "requiredDuringSchedulingIgnoredDuringExecution" | default list -}}
{{- $_ := set $pods "requiredDuringSchedulingIgnoredDuringExecution" (append $required $term) -}}
{{- $_ := set $affinity "podAffinity" $pods -}}
{{- end -}}
{{- with $affinity }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
The three probes. Ours by default, on the management port where there is one: started and alive when /healthz answers, in
service when /readyz does. A service states what differs under probes.{startup,readiness,liveness}; a probe set to {} is left out.
*/}}
{{- define "studio.probes" -}}
{{- $port := eq (toString .management) "true" | ternary "management" "http" -}}
{{- $http := dict "httpGet" (dict "path" "/healthz" "port" $port) -}}
{{- $ready := dict "httpGet" (dict "path" "/readyz" "port" $port) -}}
{{- $default := dict
  "startup" (merge (dict "periodSeconds" 2 "timeoutSeconds" 5 "failureThreshold" 90) $http)
  "readiness" (merge (dict "periodSeconds" 5 "timeoutSeconds" 5 "failureThreshold" 3) $ready)
  "liveness" (merge (dict "periodSeconds" 10 "timeoutSeconds" 10 "failureThreshold" 6) $http) -}}
{{- $probes := .probes | default dict -}}
{{- range $kind := list "startup" "readiness" "liveness" }}
{{- with hasKey $probes $kind | ternary (get $probes $kind) (get $default $kind) }}
{{ $kind }}Probe:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
A table of the values without the entries that a user removed by setting them to null: Helm leaves the null standing where the
default comes from a parent chart, as all of ours do.
*/}}
{{- define "studio.table" -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $kept $key $value }}{{ end -}}
{{- end -}}
{{- with $kept }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Requests and limits, without what a user removed. */}}
{{- define "studio.resources" -}}
{{- $kept := dict -}}
{{- range $kind := list "limits" "requests" -}}
{{- with include "studio.table" (get $ $kind) | fromYaml }}{{ $_ := set $kept $kind . }}{{ end -}}
{{- end -}}
{{ toYaml $kept }}
{{- end -}}
