{{/*
What Dagster may do in the cluster. The daemon launches runs, watches them and tells why one failed; the code server's sensor
ends those of cancelled films. The webserver and the runs may do nothing; neither has a token.
*/}}
{{- define "dagster.access" -}}
{{ include "studio.account" (dict "root" $ "name" "dagster-run" "service" "dagster" "component" "run" "annotations" .Values.dagster.serviceAccount.annotations) }}
{{- $rules := dict
  "dagster-daemon" (list
    (dict "apiGroups" (list "batch") "resources" (list "jobs") "verbs" (list "create" "delete" "list"))
    (dict "apiGroups" (list "batch") "resources" (list "jobs/status") "verbs" (list "get"))
    (dict "apiGroups" (list "") "resources" (list "pods") "verbs" (list "delete" "list"))
    (dict "apiGroups" (list "") "resources" (list "pods/log") "verbs" (list "get"))
    (dict "apiGroups" (list "") "resources" (list "events") "verbs" (list "list")))
  "dagster-code" (list
    (dict "apiGroups" (list "batch") "resources" (list "jobs") "verbs" (list "delete"))
    (dict "apiGroups" (list "") "resources" (list "pods") "verbs" (list "delete" "list"))) }}
{{- range $name, $rules := $rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
{{ include "studio.metadata" (dict "root" $ "name" $name "service" "dagster" "component" "access") }}
rules:
  {{- toYaml $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
{{ include "studio.metadata" (dict "root" $ "name" $name "service" "dagster" "component" "access") }}
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
