{{/*
The pods of the studio and who speaks to whom, in one table: NetworkPolicies are made from it, SECURITY.md shows it, and
test/unit holds both to it. As JSON:
  pods   name: {service, component}, those that are installed
  edges  [{from, to, port}]; from is a pod, or `page` (browsers, through the ingress) or `metrics` (who collects them);
         to is a pod, or `dns`, `apiserver`, `elsewhere` (an address outside the studio) or `public` (of those only public ones,
         and the networks of comfyui.remote.allowCIDRs on any port)
*/}}
{{- define "ai-film.edges" -}}
{{- $root := . -}}
{{- $pods := dict -}}
{{- $edges := list -}}
{{- range $pod := list
  (list "flask" "application" "flask" "studio")
  (list "langgraph" "application" "langgraph" "planner")
  (list "dagster" "application" "dagster" "webserver")
  (list "dagster-daemon" "application" "dagster" "daemon")
  (list "dagster-code" "application" "dagster" "code-server")
  (list "dagster-run" "application" "dagster" "run")
  (list "comfyui-relay" "processing" "comfyui" "relay")
  (list "comfyui" "processing" "comfyui" "server")
  (list "comfyui-bridge" "processing" "comfyui" "bridge")
  (list "blender" "processing" "blender" "camera")
  (list "opencv" "processing" "opencv" "finishing")
  (list "postgresql" "data" "postgresql" "database")
  (list "redis" "data" "redis" "progress")
  (list "ffmpeg" "data" "ffmpeg" "cutting") -}}
{{- if include "ai-film.enabled" (list $root (index $pod 1) (index $pod 2)) -}}
{{- $_ := set $pods (index $pod 0) (dict "service" (index $pod 2) "component" (index $pod 3)) -}}
{{- end -}}
{{- end -}}
{{- $comfyui := .Values.processing.comfyui -}}
{{- if not (include "comfyui.draws" $comfyui) }}{{ $_ := unset $pods "comfyui" }}{{ end -}}
{{- if not (and (include "comfyui.joined" $comfyui) $comfyui.bridge.enabled) }}{{ $_ := unset $pods "comfyui-bridge" }}{{ end -}}
{{- if .Values.backup.enabled -}}
{{- $_ := set $pods "backup" (dict "service" "backup" "component" "backup") -}}
{{- if .Values.backup.restore.snapshot }}{{ $_ := set $pods "restore" (dict "service" "backup" "component" "restore") }}{{ end -}}
{{- end -}}
{{- if and (hasKey $pods "comfyui") (has $comfyui.mode (list "gpu" "cpu")) (include "studio.table" $comfyui.models.files) -}}
{{- $_ := set $pods "comfyui-models" (dict "service" "comfyui" "component" "models") -}}
{{- end -}}
{{- $monitors := include "ai-film.monitors" . | fromJson -}}
{{- range $name, $pod := $monitors }}{{ $_ := set $pods $name (pick $pod "service" "component") }}{{ end -}}
{{- if hasKey $pods "flask" }}{{ $_ := set $pods "ai-film-test" (dict "service" "test" "component" "film") }}{{ end -}}

{{- /* Without an ingress people come by one of their own, or by a tunnel, which no policy closes. */ -}}
{{- $pages := include "ai-film.pages" . | fromJson -}}
{{- if not .Values.ingress.enabled }}{{ $edges = append $edges (list "page" "flask" 5000) }}{{ end -}}
{{- range $service, $page := $pages -}}
{{- $answers := eq $service "comfyui" | ternary "comfyui-relay" $service -}}
{{- if ne $page.service $service -}}
{{- $_ := set $pods $page.service (dict "service" "oauth2-proxy" "component" $service) -}}
{{- $edges = concat $edges (list (list "page" $page.service 4180) (list $page.service $answers $page.page.port)) -}}
{{- else -}}
{{- $edges = append $edges (list "page" $answers $page.port) -}}
{{- end -}}
{{- end -}}
{{- range $edge := list
  (list "ai-film-test" "flask" 5000)
  (list "flask" "postgresql" 5432)
  (list "flask" "redis" 6379)
  (list "flask" "langgraph" 8080)
  (list "flask" "comfyui-relay" 8188)
  (list "langgraph" "postgresql" 5432)
  (list "dagster" "dagster-code" 4000)
  (list "dagster" "postgresql" 5432)
  (list "dagster-daemon" "dagster-code" 4000)
  (list "dagster-daemon" "postgresql" 5432)
  (list "dagster-daemon" "apiserver" 0)
  (list "dagster-code" "postgresql" 5432)
  (list "dagster-code" "redis" 6379)
  (list "dagster-code" "comfyui-relay" 8188)
  (list "dagster-code" "apiserver" 0)
  (list "dagster-run" "postgresql" 5432)
  (list "dagster-run" "redis" 6379)
  (list "dagster-run" "langgraph" 8080)
  (list "dagster-run" "comfyui-relay" 8188)
  (list "dagster-run" "blender" 9876)
  (list "dagster-run" "opencv" 8000)
  (list "dagster-run" "ffmpeg" 8080)
  (list "comfyui-relay" "comfyui" 8188)
  (list "comfyui-bridge" "comfyui-relay" 8188)
  (list "comfyui-bridge" "apiserver" 0)
  (list "comfyui-relay" "postgresql" 5432)
  (list "backup" "postgresql" 5432)
  (list "restore" "postgresql" 5432)
  (list "restore" "apiserver" 0)
  (list "postgresql-exporter" "postgresql" 5432)
  (list "redis-exporter" "redis" 6379)
  (list "kube-state-metrics" "apiserver" 0)
  (list "prometheus" "apiserver" 0)
  (list "grafana" "prometheus" 9090) -}}
{{- $edges = append $edges $edge -}}
{{- end -}}
{{- range $pod := list "flask" "langgraph" "comfyui-relay" "comfyui-bridge" "blender" "opencv" "ffmpeg" -}}
{{- $edges = append $edges (list "metrics" $pod 8081) -}}
{{- end -}}
{{- if eq (include "comfyui.draws" $comfyui) "preview" -}}
{{- $edges = append $edges (list "metrics" "comfyui" 8081) -}}
{{- end -}}
{{- range $name, $pod := $monitors -}}
{{- if $pod.port }}{{ $edges = append $edges (list "metrics" $name $pod.port) }}{{ end -}}
{{- end -}}
{{- /* Prometheus reads itself by its own pod's address, which no policy closes. */ -}}
{{- range $edges -}}
{{- if and (eq (first .) "metrics") (ne (index . 1) "prometheus") }}{{ $edges = append $edges (list "prometheus" (index . 1) (index . 2)) }}{{ end -}}
{{- end -}}

{{- $kept := list -}}
{{- range $edges -}}
{{- $from := index . 0 -}}
{{- $to := index . 1 -}}
{{- $port := index . 2 -}}
{{- if or (hasKey $pods $from) (has $from (list "page" "metrics")) -}}
{{- if or (hasKey $pods $to) (eq $to "apiserver") -}}
{{- $kept = append $kept (dict "from" $from "to" $to "port" $port) -}}
{{- else if has $to (list "postgresql" "redis") -}}
{{- $kept = append $kept (dict "from" $from "to" "elsewhere" "port" (index $root.Values.global $to).port) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.application.langgraph.openai.baseURL -}}
{{- if hasKey $pods "langgraph" -}}
{{- $kept = append $kept (dict "from" "langgraph" "to" "elsewhere" "port" (include "ai-film.port" . | int)) -}}
{{- end -}}
{{- end -}}
{{- if and (include "comfyui.joined" $comfyui) (hasKey $pods "comfyui-relay") -}}
{{- range $comfyui.remote.urls -}}
{{- $kept = append $kept (dict "from" "comfyui-relay" "to" "elsewhere" "port" (include "ai-film.port" . | int)) -}}
{{- end -}}
{{- $kept = append $kept (dict "from" "comfyui-relay" "to" "apiserver" "port" 0) -}}
{{- $kept = append $kept (dict "from" "comfyui-relay" "to" "public" "port" 443) -}}
{{- if hasKey $pods "comfyui-bridge" -}}
{{- $kept = append $kept (dict "from" "comfyui-bridge" "to" "public" "port" 443) -}}
{{- end -}}
{{- end -}}
{{- range $service, $page := $pages -}}
{{- if ne $page.service $service -}}
{{- $kept = append $kept (dict "from" $page.service "to" "elsewhere" "port" (include "ai-film.port" $root.Values.ingress.oidc.issuerURL | int)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.monitoring -}}
{{- if and (hasKey $monitors "prometheus") .prometheus.kubelet -}}
{{- $kept = append $kept (dict "from" "prometheus" "to" "elsewhere" "port" 10250) -}}
{{- end -}}
{{- if hasKey $monitors "alertmanager" -}}
{{- $told := list -}}
{{- if .alertmanager.webhook.enabled }}{{ $told = append $told (empty .alertmanager.webhook.url | ternary "443" (include "ai-film.port" .alertmanager.webhook.url)) }}{{ end -}}
{{- if .alertmanager.slack.channel }}{{ $told = append $told "443" }}{{ end -}}
{{- if .alertmanager.email.to }}{{ $told = append $told (splitList ":" .alertmanager.email.smartHost | last) }}{{ end -}}
{{- range $told }}{{ $kept = append $kept (dict "from" "alertmanager" "to" "elsewhere" "port" (int .)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- with .Values.backup.s3.url -}}
{{- range $pod := list "backup" "restore" -}}
{{- if hasKey $pods $pod }}{{ $kept = append $kept (dict "from" $pod "to" "elsewhere" "port" (include "ai-film.port" $root.Values.backup.s3.url | int)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if hasKey $pods "comfyui-models" -}}
{{- range include "studio.table" $comfyui.models.files | fromYaml -}}
{{- $kept = append $kept (dict "from" "comfyui-models" "to" "elsewhere" "port" (include "ai-film.port" .url | int)) -}}
{{- end -}}
{{- end -}}
{{- dict "pods" $pods "edges" ($kept | uniq) | toJson -}}
{{- end -}}

{{/* The port of a URL. */}}
{{- define "ai-film.port" -}}
{{- $url := urlParse . -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "https" | ternary "443" "80") -}}
{{- end -}}

{{/*
The labels of a pod of the table.
  include "ai-film.podSelector" (list $ (dict "service" "flask" "component" "studio"))
*/}}
{{- define "ai-film.podSelector" -}}
{{- $pod := index . 1 -}}
{{ include "studio.selector" (list (index . 0) $pod.service $pod.component) }}
{{- end -}}

{{/* Where pods may go to, by UDP and TCP, as an egress rule. */}}
{{- define "ai-film.destination" -}}
to:
  {{- toYaml .to | nindent 2 }}
ports:
  {{- range .ports }}
  - {port: {{ . }}, protocol: UDP}
  - {port: {{ . }}, protocol: TCP}
  {{- end }}
{{- end -}}
