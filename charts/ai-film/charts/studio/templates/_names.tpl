{{/*
The name of an object inside the namespace, fixed so that dagster.ai-film.svc.cluster.local works in every installation.
global.releasePrefix puts the release before it, for two releases in one namespace.
  include "studio.name" (list $ "dagster")
*/}}
{{- define "studio.name" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.global.releasePrefix }}{{ $root.Release.Name }}-{{ end }}{{ index . 1 }}
{{- end -}}

{{/* The Secret that holds every password: the operator's, or the one this chart generates. */}}
{{- define "studio.secret" -}}
{{- .Values.global.existingSecret | default (include "studio.name" (list . "ai-film")) -}}
{{- end -}}

{{/*
Labels that select the pods of one workload. They never change over upgrades: selectors are immutable.
  include "studio.selector" (list $ "dagster" "webserver")
*/}}
{{- define "studio.selector" -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 2 }}
{{- end -}}

{{/*
Labels of an object.
  include "studio.labels" (list $ "dagster" "webserver")
*/}}
{{- define "studio.labels" -}}
{{- $root := index . 0 -}}
{{- $own := include "studio.selector" . | fromYaml -}}
{{- $own = merge $own (dict
  "app.kubernetes.io/part-of" "ai-film"
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name ($root.Chart.Version | replace "+" "_"))) -}}
{{- include "studio.common" (list $root "commonLabels" $own) -}}
{{- end -}}

{{/*
What the operator wants on every object, and what this one has of its own, which goes first.
  include "studio.common" (list $ "commonAnnotations" (dict "helm.sh/resource-policy" "keep"))
*/}}
{{- define "studio.common" -}}
{{- $root := index . 0 -}}
{{- include "studio.table" (merge (dict) (index . 2 | default dict) (index ($root.Umbrella | default $root).Values (index . 1))) -}}
{{- end -}}

{{/*
The metadata of an object.
  include "studio.metadata" (dict "root" $ "name" "comfyui-relay" "service" "comfyui" "component" "relay" "annotations" dict)
*/}}
{{- define "studio.metadata" -}}
metadata:
  name: {{ include "studio.name" (list .root .name) }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- merge (include "studio.labels" (list .root .service .component) | fromYaml) (.labels | default dict) | toYaml | nindent 4 }}
  {{- with include "studio.common" (list .root "commonAnnotations" .annotations) }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/*
An image reference. The tag of our own images is the umbrella chart's appVersion unless a value says otherwise; a digest
pins the image, whatever the tag says.
  include "studio.image" (list $ .Values.flask.image)
*/}}
{{- define "studio.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $registry := $root.Values.global.imageRegistry | default $image.registry | trimSuffix "/" -}}
{{ $registry }}/{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- with $image.digest | default (get $root.Values.global.imageDigests $image.repository) }}@{{ . }}{{ end }}
{{- end -}}

{{/* The names of Secrets with the registry's credentials, as a pod takes them. */}}
{{- define "studio.pullSecrets" -}}
{{- range .Values.global.imagePullSecrets }}
- name: {{ . }}
{{- end }}
{{- end -}}
