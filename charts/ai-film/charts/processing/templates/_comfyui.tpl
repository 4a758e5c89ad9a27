{{- /*
ComfyUI keeps its queue and history inside each process, so the Service `comfyui` is the relay, which knows which server
holds what. The servers are the StatefulSet behind `comfyui-headless`; in mode remote they are elsewhere.
*/ -}}

{{- /*
The variables and the volume of who speaks with servers elsewhere. Which there are stands in the ConfigMap comfyui-endpoint, which
is no object of the release: no upgrade takes a server away, and no rollback brings one back that is gone.
*/ -}}
{{- define "comfyui.elsewhere" -}}
env:
  - name: ENDPOINTS
    value: {{ include "studio.name" (list $ "comfyui-endpoint") }}
  {{- with .Values.comfyui.remote.allowCIDRs }}
  - name: ALLOW_CIDRS
    value: {{ join "," . | quote }}
  {{- end }}
{{- with .Values.comfyui.remote.existingSecret }}
  - name: CREDENTIALS
    value: /credentials
mounts:
  - name: credentials
    mountPath: /credentials
    readOnly: true
volumes:
  - name: credentials
    secret:
      secretName: {{ . }}
      defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "comfyui.relay" -}}
component: relay
workload: comfyui-relay
serviceName: comfyui
port: 8188
management: true
replicas: {{ .Values.comfyui.relay.replicas }}
uses: [postgresql]
command: [/comfyui-relay]
grace: 60
preStop:
  sleep:
    seconds: 5
{{- $comfyui := .Values.comfyui }}
{{- $joined := include "comfyui.joined" $comfyui }}
{{- $elsewhere := include "comfyui.elsewhere" . | fromYaml }}
{{- $own := printf "dns+http://%s:8188" (include "studio.name" (list $ "comfyui-headless")) }}
{{- $backends := list }}
{{- if ne $comfyui.mode "remote" }}{{ $backends = append $backends $own }}{{ end }}
{{- if $joined }}{{ $backends = concat $backends $comfyui.remote.urls }}{{ end }}
{{- if $joined }}
token: true
{{- with $elsewhere.mounts }}
mounts:
  {{- toYaml . | nindent 2 }}
volumes:
  {{- toYaml $elsewhere.volumes | nindent 2 }}
{{- end }}
{{- end }}
env:
  - name: BACKENDS
    value: {{ join "," $backends | quote }}
  {{- if $joined }}
  {{- toYaml $elsewhere.env | nindent 2 }}
  {{- end }}
  {{- if and (eq $comfyui.mode "remote") $comfyui.remote.fallbackAfter }}
  - name: FALLBACK
    value: {{ $own }}
  - name: FALLBACK_AFTER
    value: {{ $comfyui.remote.fallbackAfter }}
  {{- end }}
  {{- include "studio.env.database" (list $ "DATABASE_URL" "studio") | nindent 2 }}
{{- end -}}

{{- /* Where servers elsewhere register themselves, and are looked at before they are used. One at a time. */ -}}
{{- define "comfyui.bridge" -}}
component: bridge
workload: comfyui-bridge
port: 8190
management: true
token: true
recreate: true
replicas: 1
command: [/comfyui-bridge]
{{- $elsewhere := include "comfyui.elsewhere" . | fromYaml }}
env:
  {{- toYaml $elsewhere.env | nindent 2 }}
  - name: RELAY_URL
    value: http://{{ include "studio.name" (list $ "comfyui") }}:8188
  - name: CHECKPOINT
    value: {{ .Values.global.comfyui.checkpoint | quote }}
  - name: REQUIRE_GPU
    value: {{ .Values.comfyui.bridge.requireGPU | quote }}
  {{- with .Values.comfyui.bridge.rendezvous }}
  - name: RENDEZVOUS
    value: {{ . | quote }}
  {{- end }}
  {{- include "studio.env.secret" (list $ "BRIDGE_SECRET" "bridge-secret") | nindent 2 }}
{{- with $elsewhere.mounts }}
mounts:
  {{- toYaml . | nindent 2 }}
volumes:
  {{- toYaml $elsewhere.volumes | nindent 2 }}
{{- end }}
{{- end -}}

{{- /*
What relay and bridge may do in the cluster: with that one ConfigMap, and the bridge tells events of it. Kubernetes can't name the
object of a create; an apply that creates it is held to the name.
*/ -}}
{{- define "comfyui.access" -}}
{{- $maps := dict "apiGroups" (list "") "resources" (list "configmaps") "resourceNames" (list (include "studio.name" (list $ "comfyui-endpoint"))) }}
{{- $rules := dict "comfyui-relay" (list (merge (dict "verbs" (list "list" "watch")) $maps)) }}
{{- if .Values.comfyui.bridge.enabled }}
{{- $_ := set $rules "comfyui-bridge" (list (merge (dict "verbs" (list "create" "get" "patch" "update")) $maps)
  (dict "apiGroups" (list "") "resources" (list "events") "verbs" (list "create"))) }}
{{- end }}
{{- range $name, $rules := $rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
{{ include "studio.metadata" (dict "root" $ "name" $name "service" "comfyui" "component" "access") }}
rules:
  {{- toYaml $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
{{ include "studio.metadata" (dict "root" $ "name" $name "service" "comfyui" "component" "access") }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "studio.name" (list $ $name) }}
subjects:
  - kind: ServiceAccount
    name: {{ include "studio.name" (list $ $name) }}
    namespace: {{ $.Release.Namespace }}
{{- end }}
{{- end -}}

{{- define "comfyui.server" -}}
component: server
kind: StatefulSet
governedBy: comfyui-headless
serviceName: ""
port: 8188
grace: 60
preStop:
  sleep:
    seconds: 5
{{- if eq .Values.comfyui.mode "remote" }}
# It stands in for servers elsewhere: wherever there is room.
resources:
  requests: {cpu: 100m, memory: 192Mi}
  limits: {cpu: "2", memory: 512Mi}
{{- else }}
# The preview reads no model; it holds the claim, so that the volume is there when the mode changes.
claims: [models]
{{- end }}
queue:
  metric: aifilm_comfyui_queue_length
  labels: {}
  # A new GPU node takes minutes and loads gigabytes of model: not given up for a short pause.
  scaleDown:
    stabilizationWindowSeconds: 900
{{- if eq (include "comfyui.draws" .Values.comfyui) "preview" }}
command: [/comfyui-preview]
management: true
env:
  # The models it says it has: prompts that name another are refused, as ComfyUI does.
  - name: COMFYUI_CHECKPOINT
    value: {{ .Values.global.comfyui.checkpoint | quote }}
{{- else }}
foreign: true
nosecret: true
probes:
  # GET /prompt is ComfyUI's cheapest answer. It can be late while a picture is sampled, so life is asked for with patience.
  startup:
    httpGet: &queue
      path: /prompt
      port: http
    periodSeconds: 5
    timeoutSeconds: 10
    failureThreshold: 120
  readiness:
    httpGet: *queue
    periodSeconds: 5
    timeoutSeconds: 10
    failureThreshold: 6
  liveness:
    httpGet: *queue
    periodSeconds: 30
    timeoutSeconds: 30
    failureThreshold: 10
image:
  {{- toYaml .Values.comfyui.server.image | nindent 2 }}
command: [python3, main.py, --listen, {{ .Values.global.ipv6 | ternary "'0.0.0.0,::'" "0.0.0.0" }}, --port, "8188", --base-directory, /data, --database-url, "sqlite:////data/comfyui.db", --disable-all-custom-nodes]
args:
  {{- if eq .Values.comfyui.mode "cpu" }}
  - --cpu
  {{- end }}
  {{- range .Values.comfyui.server.args }}
  - {{ . | quote }}
  {{- end }}
env:
  # Where PyTorch and its libraries put caches; the root file system is read-only.
  - name: HOME
    value: /tmp
mounts:
  # ComfyUI makes input, output, user and temp beside models. Finished stills are fetched by the pipeline at once.
  - name: work
    mountPath: /data
volumes:
  - name: work
    emptyDir:
      sizeLimit: {{ .Values.comfyui.server.work }}
  {{- if include "comfyui.fetches" . }}
  {{- include "comfyui.modelListVolume" . | nindent 2 }}
  {{- end }}
{{- if include "comfyui.fetches" . }}
initContainers:
  - name: models
    image: {{ include "studio.image" (list $ .Values.comfyui.image) }}
    imagePullPolicy: {{ .Values.comfyui.image.pullPolicy }}
    command: [/comfyui-models, await, /etc/models/models.json]
    resources:
      requests: {cpu: 10m, memory: 32Mi}
      limits: {cpu: 200m, memory: 64Mi}
    securityContext:
      {{- include "studio.containerSecurity" $ | nindent 6 }}
    volumeMounts:
      - name: models
        mountPath: /data/models
      - name: model-list
        mountPath: /etc/models
        readOnly: true
{{- end }}
{{- if eq .Values.comfyui.mode "gpu" }}
{{- with .Values.comfyui.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.comfyui.gpu.deviceClass }}
resourceClaims:
  - name: gpu
    resourceClaimTemplateName: {{ include "studio.name" (list $ "comfyui-gpu") }}
{{- end }}
# A device is whole: its request and its limit are the same number. The values' CPU and memory stay beside it.
resources:
  {{- range $kind := list "requests" "limits" }}
  {{- $amounts := include "studio.table" (get $.Values.comfyui.resources $kind) | fromYaml }}
  {{- if not $.Values.comfyui.gpu.deviceClass }}{{ $_ := set $amounts $.Values.comfyui.gpu.resourceName $.Values.comfyui.gpu.count }}{{ end }}
  {{ $kind }}:
    {{- toYaml $amounts | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Whether models are fetched: "true" or nothing. The preview reads none, and elsewhere they are others' affair. */ -}}
{{- define "comfyui.fetches" -}}
{{- if and (has .Values.comfyui.mode (list "gpu" "cpu")) (include "studio.table" .Values.comfyui.models.files) }}true{{ end -}}
{{- end -}}

{{- define "comfyui.modelList" -}}
{{- $models := list -}}
{{- range $name, $file := include "studio.table" .Values.comfyui.models.files | fromYaml -}}
{{- $model := dict "name" $name "url" $file.url "path" $file.path -}}
{{- with $file.sha256 }}{{ $_ := set $model "sha256" . }}{{ end -}}
{{- with $file.size }}{{ $_ := set $model "bytes" (include "ai-film.bytes" . | int64) }}{{ end -}}
{{- with $file.tokenSecret }}{{ $_ := set $model "tokenFile" (printf "/etc/tokens/%s/%s" . ($file.tokenKey | default "token")) }}{{ end -}}
{{- $models = append $models $model -}}
{{- end -}}
{{- dict "models" $models "allowHTTP" .Values.comfyui.models.allowHTTP | toPrettyJson -}}
{{- end -}}

{{- define "comfyui.modelListVolume" -}}
- name: model-list
  configMap:
    name: {{ include "studio.name" (list $ "comfyui-models") }}
{{- end -}}

{{- /* The Job's pod: any node, since a GPU would wait for the network. */ -}}
{{- define "comfyui.fetch" -}}
component: models
workload: comfyui-models
restartPolicy: OnFailure
foreign: true
nosecret: true
probes: {startup: {}, readiness: {}, liveness: {}}
claims: [models]
checksum: {{ include "comfyui.modelList" . | sha256sum }}
image:
  {{- toYaml .Values.comfyui.image | nindent 2 }}
command: [/comfyui-models, fetch, /etc/models/models.json]
env:
  - name: PARALLEL
    value: {{ .Values.comfyui.models.parallel | quote }}
mounts:
  - name: model-list
    mountPath: /etc/models
    readOnly: true
  {{- $tokens := dict }}
  {{- range $file := include "studio.table" .Values.comfyui.models.files | fromYaml }}
  {{- with $file.tokenSecret }}{{ $_ := set $tokens (printf "%s/%s" . ($file.tokenKey | default "token")) . }}{{ end }}
  {{- end }}
  {{- if $tokens }}
  - name: tokens
    mountPath: /etc/tokens
    readOnly: true
  {{- end }}
volumes:
  {{- include "comfyui.modelListVolume" . | nindent 2 }}
  {{- if $tokens }}
  - name: tokens
    projected:
      defaultMode: 0440
      sources:
        {{- range $path, $secret := $tokens }}
        - secret:
            name: {{ $secret }}
            items:
              - key: {{ base $path }}
                path: {{ $path }}
        {{- end }}
  {{- end }}
{{- end -}}

{{- define "comfyui.fetchJob" -}}
{{- $own := include "comfyui.fetch" . | fromYaml -}}
{{- with $own.Error }}{{ fail (printf "comfyui-models: %s" .) }}{{ end -}}
{{- $pod := include "studio.pod" (dict "root" $ "service" "comfyui" "workload" "comfyui-models" "values" .Values.comfyui.models "own" $own) -}}
apiVersion: v1
kind: ConfigMap
{{ include "studio.metadata" (dict "root" $ "name" "comfyui-models" "service" "comfyui" "component" "models") }}
data:
  models.json: |
    {{- include "comfyui.modelList" . | nindent 4 }}
---
{{ include "studio.account" (dict "root" $ "name" "comfyui-models" "service" "comfyui" "component" "models" "annotations" .Values.comfyui.models.serviceAccount.annotations) }}
---
# A Job cannot be changed: another list or image is another Job, and Helm takes the old one away.
apiVersion: batch/v1
kind: Job
{{ include "studio.metadata" (dict "root" $ "name" (printf "comfyui-models-%s" ($pod | sha256sum | trunc 8)) "service" "comfyui" "component" "models") }}
spec:
  # Broken connections are taken up inside; what ends the program, a full disk or a wrong checksum, may be mended meanwhile.
  backoffLimit: 12
  template:
    {{- $pod | nindent 4 }}
{{- end -}}

{{- define "comfyui.objects" -}}
{{- /* Placement, environment and scale are the servers'; the relay has its own, or it would sit on a GPU node. */ -}}
{{- $relay := merge (dict "image" .Values.comfyui.image) .Values.comfyui.relay }}
{{ include "studio.workload" (list $ "comfyui" $relay (include "comfyui.relay" . | fromYaml)) }}
{{- if include "comfyui.joined" .Values.comfyui }}
{{- include "comfyui.access" . }}
{{- if .Values.comfyui.bridge.enabled }}
---
{{ include "studio.workload" (list $ "comfyui" (merge (dict "image" .Values.comfyui.image "replicas" 1) .Values.comfyui.bridge) (include "comfyui.bridge" . | fromYaml)) }}
{{- end }}
{{- end }}
{{- if include "comfyui.draws" .Values.comfyui }}
---
{{ $values := eq .Values.comfyui.mode "remote" | ternary $relay .Values.comfyui -}}
{{ include "studio.workload" (list $ "comfyui" $values (include "comfyui.server" . | fromYaml)) }}
{{- if include "comfyui.fetches" . }}
---
{{ include "comfyui.fetchJob" . }}
{{- end }}
{{- if and (eq .Values.comfyui.mode "gpu") .Values.comfyui.gpu.deviceClass }}
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
{{ include "studio.metadata" (dict "root" $ "name" "comfyui-gpu" "service" "comfyui" "component" "server") }}
spec:
  spec:
    devices:
      requests:
        - name: gpu
          exactly:
            deviceClassName: {{ .Values.comfyui.gpu.deviceClass }}
            count: {{ .Values.comfyui.gpu.count }}
{{- end }}
{{- end }}
{{- end -}}
