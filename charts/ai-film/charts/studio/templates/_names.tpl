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
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 2 }}
{{- end -}}

{{/*
Labels of an object.
  include "studio.labels" (list $ "dagster" "webserver")
*/}}
{{- define "studio.labels" -}}
{{- $root := index . 0 -}}
{{ include "studio.selector" . }}
app.kubernetes.io/part-of: ai-film
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end -}}

{{/*
An image reference. The tag of our own images is the chart's appVersion unless a value says otherwise.
  include "studio.image" (list $ .Values.flask.image)
*/}}
{{- define "studio.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{ $root.Values.global.imageRegistry | default $image.registry }}/{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
