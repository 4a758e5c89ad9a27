{{/*
The pages that the ingress leads to, each under a host of its own: ComfyUI's and Dagster's break under a sub-path, and no path is
ever rewritten. As JSON, by service:
  {host, service, port: where the ingress leads, page: {service, port}: what answers there, health: a path that answers without a login}
With ingress.oidc both differ: oauth2-proxy stands between.
*/}}
{{- define "ai-film.pages" -}}
{{- $pages := dict -}}
{{- $ingress := .Values.ingress -}}
{{- if $ingress.enabled -}}
{{- range $name, $page := dict
  "flask" (dict "enabled" true "host" $ingress.host "port" 5000 "health" "/healthz")
  "dagster" (merge (dict "port" 3000 "health" "/server_info") $ingress.dagster)
  "comfyui" (merge (dict "port" 8188 "health" "/healthz") $ingress.comfyui)
  "comfyui-bridge" (merge (dict "port" 8190 "health" "/healthz" "signed" true) $ingress.bridge) -}}
{{- if $page.enabled -}}
{{- $at := dict "service" $name "port" $page.port -}}
{{- $_ := set $pages $name (merge (dict "host" $page.host "page" $at "health" $page.health) $at) -}}
{{- if and $ingress.oidc.enabled (not $page.signed) -}}
{{- $_ := set $pages $name (dict "host" $page.host "page" $at "service" (printf "oauth2-proxy-%s" $name) "port" 4180 "health" "/ping") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $pages | toJson -}}
{{- end -}}

{{/*
oauth2-proxy before one page.
  include "ai-film.login" (list $ "dagster" PAGE)
ComfyUI's relay is shown the service token as the password of whoever signed in; Dagster asks nobody; the studio's page has a login
of its own.
*/}}
{{- define "ai-film.login" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $page := index . 2 -}}
{{- $oidc := $root.Values.ingress.oidc -}}
component: {{ $name }}
workload: oauth2-proxy-{{ $name }}
port: 4180
foreign: true
preStop:
  sleep:
    seconds: 5
probes:
  startup:
    httpGet: &ping
      path: /ping
      port: http
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: 60
  readiness:
    httpGet: *ping
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 3
  liveness:
    httpGet: *ping
    periodSeconds: 10
    timeoutSeconds: 10
    failureThreshold: 6
env:
  {{- range $variable, $value := dict
    "PROVIDER" "oidc"
    "OIDC_ISSUER_URL" $oidc.issuerURL
    "CLIENT_ID" $oidc.clientID
    "SCOPE" $oidc.scope
    "EMAIL_DOMAINS" (join "," $oidc.emailDomains | default "*")
    "ALLOWED_GROUPS" (join "," $oidc.groups)
    "REDIRECT_URL" (printf "https://%s/oauth2/callback" $page.host)
    "UPSTREAMS" (printf "http://%s:%v/" (include "studio.name" (list $root $page.page.service)) $page.page.port)
    "HTTP_ADDRESS" ($root.Values.global.ipv6 | ternary "[::]:4180" "0.0.0.0:4180")
    "COOKIE_NAME" "__Host-ai_film_oidc"
    "COOKIE_SECURE" "true"
    "COOKIE_SAMESITE" "lax"
    "SKIP_PROVIDER_BUTTON" "true"
    "SILENCE_PING_LOGGING" "true"
    "FLUSH_INTERVAL" "100ms"
    "UPSTREAM_TIMEOUT" "120s"
    "PASS_USER_HEADERS" "true"
    "PASS_BASIC_AUTH" (eq $name "comfyui" | ternary "true" "false") }}
  {{- if $value }}
  - name: OAUTH2_PROXY_{{ $variable }}
    value: {{ $value | quote }}
  {{- end }}
  {{- end }}
  {{- include "studio.env.secret" (list $root "OAUTH2_PROXY_CLIENT_SECRET" "client-secret" $oidc.existingSecret) | nindent 2 }}
  {{- include "studio.env.secret" (list $root "OAUTH2_PROXY_COOKIE_SECRET" "cookie-secret" $oidc.existingSecret) | nindent 2 }}
  {{- if eq $name "comfyui" }}
  {{- include "studio.env.secret" (list $root "OAUTH2_PROXY_BASIC_AUTH_PASSWORD" "service-token") | nindent 2 }}
  {{- end }}
{{- end -}}
