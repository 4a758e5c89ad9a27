{{/*
The pod template of a workload. It takes the dict that studio.workload makes:
  root, service, workload, values  where it stands and what the user set
  own                              what the service states of itself, see studio.workload
*/}}
{{- define "studio.pod" -}}
{{- $root := .root -}}
{{- $values := .values -}}
{{- $own := .own -}}
{{- $image := $own.image | default $values.image -}}
{{- $shared := without ($own.claims | default list) "postgres" "prometheus" -}}
metadata:
  labels:
    {{- include "studio.podLabels" (list $root .service $own.component (not (empty $shared)) $values) | nindent 4 }}
  {{- $annotations := dict }}
  {{- with $own.checksum }}{{ $_ := set $annotations "checksum/config" . }}{{ end }}
  {{- if not $own.nosecret }}{{ with $root.SecretSum }}{{ $_ := set $annotations "checksum/secret" . }}{{ end }}{{ end }}
  {{- with include "studio.common" (list $root "commonAnnotations" (merge $annotations (include "studio.table" $values.podAnnotations | fromYaml))) }}
  annotations:
    # A pod keeps the configuration and the passwords it started with; a new sum brings a new pod.
    {{- . | nindent 4 }}
  {{- end }}
spec:
  {{- include "studio.podSpec" (list $root $values (not (empty $shared)) ($own.account | default .workload) ($own.user | default 10001)) | nindent 2 }}
  automountServiceAccountToken: {{ $own.token | default false }}
  {{- with $own.restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with $own.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with $own.resourceClaims }}
  resourceClaims:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $own.grace | default 30 }}
  {{- with $values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- else }}
  {{- if and (gt (int $own.replicas) 1) (not $root.Values.global.singleNode) }}
  # Replicas on one node fall with it. Only a wish: a studio on a single node must still start.
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "studio.selector" (list $root $.service $own.component) | nindent 10 }}
  {{- end }}
  {{- end }}
  {{- with $own.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .workload }}
      image: {{ include "studio.image" (list $root $image) }}
      imagePullPolicy: {{ $image.pullPolicy }}
      {{- with $own.command }}
      command:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $own.args }}
      args:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with include "studio.env" (list (concat (include "studio.ownEnv" (list $root $own) | fromYamlArray) ($own.env | default list)) $values) }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      {{- with $values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
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
        {{- with $own.resourceClaims }}
        claims:
          {{- range . }}
          - name: {{ .name }}
          {{- end }}
        {{- end }}
      securityContext:
        {{- include "studio.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- range $own.claims }}
        - name: {{ . }}
          mountPath: {{ if eq . "postgres" }}/var/lib/postgresql/data{{ else }}/data/{{ . }}{{ end }}
          {{- if $own.readOnly }}
          readOnly: true
          {{- end }}
        {{- end }}
        {{- with $own.mounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- with include "studio.certificates.mounts" (list $root ($own.uses | default list)) | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "studio.volumes" (list $root $values $own.claims $own.uses) | nindent 4 }}
    {{- with $own.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* What a program of ours is told of its ports and volumes. */}}
{{- define "studio.ownEnv" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
{{- if not $own.foreign -}}
- name: PORT
  value: {{ $own.port | quote }}
- name: DATA_DIR
  value: /data
{{- if $own.management }}
- name: MANAGEMENT_PORT
  value: "8081"
{{ include "studio.env.token" $root }}
{{- if $root.Values.global.ipv6 }}
- name: HOST
  value: "::"
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/*
Labels of a pod: those that select it, those it is found by for global.singleNode, and the operator's, which come last.
  include "studio.podLabels" (list $ "flask" "studio" true .Values.flask)
*/}}
{{- define "studio.podLabels" -}}
{{- $root := index . 0 -}}
{{- $own := include "studio.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "ai-film" -}}
{{- if index . 3 }}{{ $_ := set $own "ai-film/shares-volumes" "true" }}{{ end -}}
{{- include "studio.common" (list $root "commonLabels" (merge $own (include "studio.table" (index . 4).podLabels | fromYaml))) -}}
{{- end -}}

{{/*
What the specs of all pods have in common, runs and tests included: who they are, where they may run, what they may do.
  include "studio.podSpec" (list $ .Values.flask SHARED "flask" 10001)
SHARED says whether the pod mounts a volume that others mount too; then come its account and its user id.
*/}}
{{- define "studio.podSpec" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- $global := $root.Values.global -}}
# A Service named redis would put REDIS_PORT=tcp://… into every pod's environment.
enableServiceLinks: false
serviceAccountName: {{ include "studio.name" (list $root (index . 3)) }}
{{- with include "studio.pullSecrets" $root }}
imagePullSecrets:
  {{- . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName | default $global.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- include "studio.podSecurity" (list $root (index . 4) $values.podSecurityContext) | nindent 2 }}
{{- with include "studio.table" (merge (dict) $values.nodeSelector $global.nodeSelector) }}
nodeSelector:
  {{- . | nindent 2 }}
{{- end }}
{{- with concat $values.tolerations $global.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "studio.affinity" (list $root ($values.affinity | default $global.affinity) (index . 2)) }}
affinity:
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
The volumes of a pod: /tmp, the claims it mounts, certificates, and the operator's.
  include "studio.volumes" (list $ .Values.flask (list "images" "videos") (list "postgresql"))
*/}}
{{- define "studio.volumes" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ $values.scratch }}
{{- range index . 2 }}
- name: {{ . }}
  persistentVolumeClaim:
    claimName: {{ include "studio.name" (list $root (printf "%s-pvc" .)) }}
{{- end }}
{{- include "studio.certificates.volumes" (list $root (index . 3 | default list)) }}
{{- with $values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Pod Security `restricted`, for the user id given, with the operator's fields laid over it.
  include "studio.podSecurity" (list $ 10001 .Values.flask.podSecurityContext)
*/}}
{{- define "studio.podSecurity" -}}
{{- $security := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- if (index . 0).Values.global.userIDs -}}
{{- $id := index . 1 -}}
{{- /* Without OnRootMismatch the kubelet walks every frame of every film at each start of a pod. */ -}}
{{- $_ := merge $security (dict "runAsUser" $id "runAsGroup" $id "fsGroup" $id "fsGroupChangePolicy" "OnRootMismatch") -}}
{{- end -}}
{{- range $key, $value := index . 2 -}}
{{- $_ := set $security $key $value -}}
{{- end -}}
{{- include "studio.table" $security -}}
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
service when /readyz does. A service states what differs under probes.{startup,readiness,liveness}; a probe set to {} is
left out.
*/}}
{{- define "studio.probes" -}}
{{- $port := not .management | ternary "http" "management" -}}
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
