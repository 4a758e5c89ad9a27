{{/*
The objects of one service. They are rendered from here and not by the subchart, which cannot see the umbrella's version, and
so would give its images another; the subchart's values and files are theirs.
  include "ai-film.service" (list $ "application" "flask")
*/}}
{{- define "ai-film.service" -}}
{{- $root := index . 0 -}}
{{- $layer := index . 1 -}}
{{- $service := index . 2 -}}
{{- $prepared := include "ai-film.prepare" $root | fromJson -}}
{{- if include "ai-film.enabled" (list $root $layer $service) -}}
{{- include (printf "%s.objects" $service) (dict "Umbrella" $root "Chart" $root.Chart "Release" $root.Release "Capabilities" $root.Capabilities
  "Values" (index $root.Values $layer) "Files" (index $root.Subcharts $layer).Files "SecretSum" $prepared.sum) -}}
{{- end -}}
{{- end -}}

{{/* Whether a service is installed: "true" or nothing. */}}
{{- define "ai-film.enabled" -}}
{{- $layer := index (index . 0).Values (index . 1) -}}
{{- if and $layer.enabled (index $layer (index . 2)).enabled }}true{{ end -}}
{{- end -}}

{{/*
What comes before everything else, and once a render: that the values can work, and the Secret's content, made only once since
half of it may be random. As JSON: {"secret": {key: base64}, "sum": the hash of it, empty where it cannot be known}.
*/}}
{{- define "ai-film.prepare" -}}
{{- if not (hasKey .Values "prepared") -}}
{{- include "ai-film.validate" . -}}
{{- $secret := include "ai-film.secret" . | fromJson -}}
{{- $_ := set .Values "prepared" (dict "secret" $secret "sum" (empty $secret | ternary "" ($secret | toJson | sha256sum))) -}}
{{- end -}}
{{- .Values.prepared | toJson -}}
{{- end -}}

{{/* How browsers reach the page: http or https. */}}
{{- define "studio.scheme" -}}
{{- $ingress := .Values.ingress -}}
{{- $certmap := and $ingress.gateway.enabled (hasKey $ingress.gateway.annotations "networking.gke.io/certmap") -}}
{{- or $ingress.tlsSecret $ingress.tls.issuer $ingress.tls.managedCertificate $ingress.tls.elsewhere $certmap | empty | ternary "http" "https" -}}
{{- end -}}

{{/* The Secret with the certificate of the pages; nothing where there is none, or it is none of the ingress's. */}}
{{- define "ai-film.certificate" -}}
{{- .Values.ingress.tlsSecret | default (empty .Values.ingress.tls.issuer | ternary "" (printf "%s-tls" (include "studio.name" (list $ "ai-film")))) -}}
{{- end -}}

{{/* Who draws in the cluster: gpu, cpu, preview, or nothing. Takes the values of comfyui; the umbrella's policies ask, too, also where the layer is off. */}}
{{- define "comfyui.draws" -}}
{{- if ne .mode "remote" }}{{ .mode }}{{ else if .remote.fallbackAfter }}preview{{ end -}}
{{- end -}}

{{/* Whether servers elsewhere may join: "true" or nothing. Takes the values of comfyui. */}}
{{- define "comfyui.joined" -}}
{{- if or (eq .mode "remote") .remote.enabled }}true{{ end -}}
{{- end -}}
