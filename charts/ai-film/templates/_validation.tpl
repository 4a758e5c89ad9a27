{{/*
What cannot work is refused here, before anything is installed, each with its remedy. One rule a paragraph; test/unit tries
them one by one. What is wrong by type or range is refused by values.schema.json before this.
*/}}
{{- define "ai-film.validate" -}}
{{- /* --reuse-values takes the older release's values in place of this version's defaults. */ -}}
{{- range $path := list "networkPolicy.enabled" "metrics.queues" "preflight.enabled" "test.timeoutSeconds" "global.userIDs" "global.postgresql.port" "global.redis.port" "data.redis.maxmemory" "data.redis.scratch" "processing.comfyui.gpu.resourceName" "processing.comfyui.models.parallel" "backup.schedule" "ingress.gateway.enabled" "ingress.oidc.scope" "ingress.tls.elsewhere" "monitoring.mode" -}}
{{- $at := $.Values -}}
{{- range splitList "." $path -}}
{{- if kindIs "map" $at }}{{ $at = get $at . }}{{ else }}{{ $at = "" }}{{ end -}}
{{- end -}}
{{- if or (kindIs "invalid" $at) (eq (toString $at) "") -}}
{{- fail (printf "the value %s is missing: an older release's values were taken in place of this chart's defaults. Upgrade with --reset-then-reuse-values, or with -f and your own values, not with --reuse-values." $path) -}}
{{- end -}}
{{- end -}}

{{- /* What a parent chart hands on in global is its own affair; where there is none, a key nobody reads is a slip. */ -}}
{{- if .Chart.IsRoot -}}
{{- $ours := list "imageRegistry" "imageDigests" "imagePullSecrets" "existingSecret" "secretSeed" "releasePrefix" "singleNode" "nodeSelector" "tolerations" "affinity" "priorityClassName" "userIDs" "ipv6" "ipFamilyPolicy" "postgresql" "redis" "comfyui" -}}
{{- range $key, $value := .Values.global -}}
{{- if not (has $key $ours) -}}
{{- fail (printf "global.%s: this chart has no such value. It has %s." $key (join ", " $ours)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- $comfyui := .Values.processing.comfyui -}}
{{- $services := dict -}}
{{- range $layer := list "application" "processing" "data" -}}
{{- range $service, $values := index $.Values $layer -}}
{{- if kindIs "map" $values -}}{{- if and (hasKey $values "replicas") $values.enabled (index $.Values $layer).enabled -}}
{{- $_ := set $services $service (dict "values" $values "path" (printf "%s.%s" $layer $service)) -}}
{{- end -}}{{- end -}}
{{- end -}}
{{- end -}}

{{- /* With the prefix the release's name begins every object's, and Services' names begin with a letter and have no dot. */ -}}
{{- if .Values.global.releasePrefix -}}
{{- if gt (len .Release.Name) 40 -}}
{{- fail (printf "global.releasePrefix: the release's name %q has %d characters, and with it names get longer than Kubernetes takes. Choose a release name of at most 40 characters." .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" .Release.Name) -}}
{{- fail (printf "global.releasePrefix: the release's name %q cannot begin the name of a Service, which begins with a letter and has only small letters, digits and hyphens. Choose another release name." .Release.Name) -}}
{{- end -}}
{{- end -}}

{{- /* A ReadWriteOnce volume is attached to one node; pods elsewhere would wait for it for ever. */ -}}
{{- range $claim := list "images" "videos" "models" "dagster" -}}
{{- if and (eq (index $.Values.storage $claim).accessMode "ReadWriteOnce") (not $.Values.global.singleNode) -}}
{{- fail (printf "storage.%s.accessMode is ReadWriteOnce, but several pods share this volume and may run on several nodes. Set global.singleNode=true to keep them on one node, or take a class with ReadWriteMany (on GKE standard-rwx)." $claim) -}}
{{- end -}}
{{- end -}}

{{- /* Pods kept on one node cannot spread over new ones. */ -}}
{{- if .Values.global.singleNode -}}
{{- range $service, $at := $services -}}
{{- if dig "autoscaling" "enabled" false $at.values -}}
{{- fail (printf "%s.autoscaling.enabled is true, but global.singleNode keeps the studio on one node. Turn one of them off; for several nodes the volumes need storage.*.accessMode=ReadWriteMany." $at.path) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- range $service, $at := $services -}}
{{- if and (dig "autoscaling" "enabled" false $at.values) (eq (int $at.values.replicas) 0) (not (and (eq $.Values.metrics.queues "keda") (eq $service "comfyui"))) -}}
{{- fail (printf "%s: replicas is 0, and autoscaling.enabled is true: an autoscaler takes no service from nothing. Set replicas to at least 1, or autoscaling.enabled=false; ComfyUI alone can start at 0, with metrics.queues=keda." $at.path) -}}
{{- end -}}
{{- range $variable := concat (keys $at.values.env) (include "ai-film.names" $at.values.extraEnv | fromYamlArray) -}}
{{- if has $variable (list "PORT" "MANAGEMENT_PORT" "DATA_DIR" "SERVICE_TOKEN" "DAGSTER_HOME" "PGDATA") -}}
{{- fail (printf "%s.env: %s is the chart's own; with another value the service could not be reached. Remove it." $at.path $variable) -}}
{{- end -}}
{{- end -}}
{{- if and (dig "autoscaling" "enabled" false $at.values) (gt (int $at.values.replicas) (int $at.values.autoscaling.maxReplicas)) -}}
{{- fail (printf "%s: replicas (%d), the minimum of its autoscaler, is above autoscaling.maxReplicas (%d). Raise maxReplicas or lower replicas." $at.path (int $at.values.replicas) (int $at.values.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if and (dig "autoscaling" "enabled" false $at.values) (not $at.values.autoscaling.metrics) (or (eq $.Values.metrics.queues "none") (has $service (list "flask" "dagster"))) (not (dig "requests" "cpu" "" $at.values.resources)) -}}
{{- fail (printf "%s.autoscaling measures CPU use against the request, and resources.requests.cpu is not set. Set it, or name metrics in autoscaling.metrics." $at.path) -}}
{{- end -}}
{{- end -}}

{{- /* One server each: a second would answer with other data behind the same name. */ -}}
{{- range $service := list "postgresql" "redis" -}}
{{- with get $services $service -}}
{{- if ne (int .values.replicas) 1 -}}
{{- fail (printf "%s.replicas is %d; this chart runs exactly one. For high availability set %s.enabled=false and point global.%s.host at a managed one." .path (int .values.replicas) .path $service) -}}
{{- end -}}
{{- else -}}
{{- if not (index $.Values.global $service).host -}}
{{- fail (printf "data.%s is disabled and nothing takes its place. Set global.%s.host, or data.enabled=true and data.%s.enabled=true." $service $service $service) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What says how to reach a server elsewhere says nothing of the chart's own. */ -}}
{{- $postgresql := .Values.global.postgresql -}}
{{- if and (not $postgresql.host) (or $postgresql.sslMode $postgresql.caSecret $postgresql.existingSecret) -}}
{{- fail "global.postgresql has sslMode, caSecret or existingSecret, but no host: they are for a PostgreSQL elsewhere. Set global.postgresql.host and data.postgresql.enabled=false, or remove them." -}}
{{- end -}}
{{- if and (hasPrefix "verify-" $postgresql.sslMode) (not $postgresql.caSecret) -}}
{{- fail (printf "global.postgresql.sslMode is %s, which compares the server's certificate with an authority's. Name the Secret that has it: global.postgresql.caSecret." $postgresql.sslMode) -}}
{{- end -}}
{{- $redis := .Values.global.redis -}}
{{- if and (not $redis.host) (or $redis.tls $redis.caSecret $redis.existingSecret $redis.user) -}}
{{- fail "global.redis has tls, caSecret, user or existingSecret, but no host: they are for a Redis elsewhere. Set global.redis.host and data.redis.enabled=false, or remove them." -}}
{{- end -}}
{{- range $name := list "postgresql" "redis" -}}
{{- if and (index $.Values.global $name).host (hasKey $services $name) -}}
{{- fail (printf "global.%s.host names a server elsewhere, and data.%s.enabled is true: two servers, one of them used by nobody. Set data.%s.enabled=false, or remove the host." $name $name $name) -}}
{{- end -}}
{{- end -}}

{{- /* Who asks how long a queue is must be there to answer. What a cluster has is known only where it can be read. */ -}}
{{- $offline := include "ai-film.offline" . -}}
{{- $collector := include "ai-film.collector" . -}}
{{- if and (eq .Values.metrics.queues "keda") (not .Values.metrics.prometheusURL) (ne $collector "own") -}}
{{- fail "metrics.queues is keda, which asks a Prometheus for the queues, and metrics.prometheusURL names none. Set it, for instance to http://prometheus-operated.monitoring:9090." -}}
{{- end -}}
{{- if and (eq .Values.metrics.queues "keda") (not $offline) (not (.Capabilities.APIVersions.Has "keda.sh/v1alpha1")) -}}
{{- fail "metrics.queues is keda, and KEDA is not in this cluster. Install it (https://keda.sh), or set metrics.queues=none to follow the CPU." -}}
{{- end -}}
{{- if and (has .Values.metrics.queues (list "gke" "prometheus-adapter")) (not $offline) (not (.Capabilities.APIVersions.Has "external.metrics.k8s.io/v1beta1")) -}}
{{- fail (printf "metrics.queues is %s, and nothing in this cluster answers for external metrics. Install %s, or set metrics.queues=none to follow the CPU." .Values.metrics.queues (eq .Values.metrics.queues "gke" | ternary "the Custom Metrics Stackdriver Adapter (https://cloud.google.com/kubernetes-engine/docs/tutorials/autoscaling-metrics)" "prometheus-adapter, with a rule for external metrics")) -}}
{{- end -}}
{{- if and (eq .Values.metrics.queues "gke") (ne $collector "gke") -}}
{{- fail "metrics.queues is gke, whose adapter reads Managed Service for Prometheus, and metrics.collector is not: nothing would collect the queues. Set metrics.collector=gke, or with monitoring.enabled monitoring.mode=gke." -}}
{{- end -}}

{{- $monitoring := .Values.monitoring -}}
{{- if $monitoring.enabled -}}
{{- $mode := eq $monitoring.mode "operator" | ternary "prometheus-operator" $monitoring.mode -}}
{{- if not (has .Values.metrics.collector (list "none" $mode)) -}}
{{- fail (printf "monitoring.mode is %s, and metrics.collector is %s: two would collect the same. Set metrics.collector=none, or turn monitoring off." $monitoring.mode .Values.metrics.collector) -}}
{{- end -}}
{{- if and (eq $monitoring.mode "operator") (not $offline) (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}
{{- fail "monitoring.mode is operator, and this cluster has no Prometheus Operator. Install one (kube-prometheus-stack), or set monitoring.mode=own." -}}
{{- end -}}
{{- if and (eq $monitoring.mode "gke") (not $offline) (not (.Capabilities.APIVersions.Has "monitoring.googleapis.com/v1")) -}}
{{- fail "monitoring.mode is gke, and this cluster has no Managed Service for Prometheus. Turn it on (gcloud container clusters update CLUSTER --enable-managed-prometheus), or set monitoring.mode=own." -}}
{{- end -}}
{{- $told := $monitoring.alertmanager -}}
{{- if and (eq $monitoring.mode "own") $told.enabled -}}
{{- if and (not $told.existingSecret) (or (and $told.webhook.enabled (not $told.webhook.url)) $told.slack.channel (and $told.email.to $told.email.username)) -}}
{{- fail "monitoring.alertmanager: a receiver needs what is secret, and existingSecret names no Secret. Make one with webhook-url, slack-url or smtp-password, as the receiver asks, and set monitoring.alertmanager.existingSecret; an address that is no secret can stand in monitoring.alertmanager.webhook.url." -}}
{{- end -}}
{{- if and $told.email.to (not (and $told.email.from $told.email.smartHost)) -}}
{{- fail "monitoring.alertmanager.email.to is set, and from or smartHost is not: nobody would carry the mail. Set monitoring.alertmanager.email.from, and monitoring.alertmanager.email.smartHost, such as mail.example.com:587." -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if hasKey $services "comfyui" -}}
{{- if and (eq $comfyui.mode "gpu") $comfyui.gpu.deviceClass (semverCompare "<1.34.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "processing.comfyui.gpu.deviceClass: Dynamic Resource Allocation is stable from Kubernetes 1.34 on, and this is %s. Leave deviceClass empty to use a device plugin." .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if not (include "comfyui.joined" $comfyui) -}}
{{- range $what, $set := dict "remote.urls" $comfyui.remote.urls "bridge.enabled" $comfyui.bridge.enabled -}}
{{- if $set -}}
{{- fail (printf "processing.comfyui.%s is set, but in mode %s servers elsewhere are used only with processing.comfyui.remote.enabled=true. Set that, or mode remote." $what $comfyui.mode) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $comfyui.remote.fallbackAfter (ne $comfyui.mode "remote") -}}
{{- fail (printf "processing.comfyui.remote.fallbackAfter has the preview draw while no server elsewhere is there, and in mode %s the cluster's own servers are. Set mode remote, or remove it." $comfyui.mode) -}}
{{- end -}}
{{- if and .Values.ingress.bridge.enabled (not $comfyui.bridge.enabled) -}}
{{- fail "ingress.bridge.enabled leads to the bridge, which is off. Set processing.comfyui.bridge.enabled=true." -}}
{{- end -}}
{{- $files := include "studio.table" $comfyui.models.files | fromYaml -}}
{{- if and $files (has $comfyui.mode (list "preview" "remote")) -}}
{{- fail (printf "processing.comfyui.models.files names models, but in mode %s nothing here reads any. Set processing.comfyui.mode to gpu or cpu, or leave the list of models out." $comfyui.mode) -}}
{{- end -}}
{{- $places := dict -}}
{{- $bytes := 0.0 -}}
{{- range $name, $file := $files -}}
{{- if not (and $file.url $file.path) -}}
{{- fail (printf "processing.comfyui.models.files.%s needs url, where the file is, and path, where it goes below the models' directory, such as checkpoints/%s.safetensors." $name $name) -}}
{{- end -}}
{{- if and (hasPrefix "http:" $file.url) (not $comfyui.models.allowHTTP) -}}
{{- fail (printf "processing.comfyui.models.files.%s.url is plain HTTP, and who is on the way could send another file. Take https, or for a server of your own set processing.comfyui.models.allowHTTP=true." $name) -}}
{{- end -}}
{{- if regexMatch "^https?://[^/]*@" $file.url -}}
{{- fail (printf "processing.comfyui.models.files.%s.url has a user or a password in it, which all may read who read the ConfigMap. Put a token into a Secret and name it: processing.comfyui.models.files.%s.tokenSecret." $name $name) -}}
{{- end -}}
{{- range $place, $of := $places -}}
{{- if or (eq $place (lower $file.path)) (hasPrefix (printf "%s/" $place) (lower $file.path)) (hasPrefix (printf "%s/" (lower $file.path)) $place) -}}
{{- fail (printf "processing.comfyui.models.files: %s and %s would have the same place, %s. Give each a path of its own." $of $name $file.path) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $places (lower $file.path) $name -}}
{{- $bytes = addf $bytes (include "ai-film.bytes" ($file.size | default 0) | float64) -}}
{{- end -}}
{{- if and .Values.storage.models.create (gt $bytes (include "ai-film.bytes" .Values.storage.models.size | float64)) -}}
{{- fail (printf "storage.models.size is %s, and the models of processing.comfyui.models.files take %.0f GiB. Ask for more, with room for what comes later: --set storage.models.size=%.0fGi, or fetch fewer." (toString .Values.storage.models.size) (ceil (divf $bytes 1073741824.0)) (ceil (divf $bytes 858993459.2))) -}}
{{- end -}}
{{- range $kind := list "requests" "limits" -}}
{{- if get (index $comfyui.resources $kind | default dict) $comfyui.gpu.resourceName -}}
{{- fail (printf "processing.comfyui.resources.%s names %s. The GPUs come from processing.comfyui.gpu.count, as request and limit alike, in mode gpu only; remove the line." $kind $comfyui.gpu.resourceName) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if and (not .Values.ingress.enabled) (or .Values.ingress.gateway.enabled .Values.ingress.oidc.enabled) -}}
{{- fail "ingress.gateway or ingress.oidc is enabled, and ingress.enabled is false: no page is led to. Set ingress.enabled=true, or turn them off." -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
{{- $hosts := dict -}}
{{- range $service, $page := dict "flask" (dict "enabled" true "host" .Values.ingress.host) "dagster" .Values.ingress.dagster "comfyui" .Values.ingress.comfyui -}}
{{- if $page.enabled -}}
{{- if not (hasKey $services $service) -}}
{{- fail (printf "ingress leads to %s, which is disabled. Enable it, or turn its page off (ingress.enabled=false, ingress.dagster.enabled=false, ingress.comfyui.enabled=false)." $service) -}}
{{- end -}}
{{- if hasKey $hosts $page.host -}}
{{- fail (printf "ingress: %s and %s have the same host %q. Give each page a host of its own: they do not work under a sub-path." (get $hosts $page.host) $service $page.host) -}}
{{- end -}}
{{- $_ := set $hosts $page.host $service -}}
{{- end -}}
{{- end -}}
{{- $gateway := .Values.ingress.gateway -}}
{{- if $gateway.enabled -}}
{{- if eq (empty $gateway.className) (empty $gateway.parentRefs) -}}
{{- fail "ingress.gateway.enabled needs one Gateway: ingress.gateway.parentRefs names those that are there, such as [{name: shared, namespace: infra}], ingress.gateway.className makes one. Set one of them." -}}
{{- end -}}
{{- if .Values.ingress.className -}}
{{- fail (printf "ingress.className is %s, and with ingress.gateway.enabled there is no Ingress. Set ingress.className=\"\"; the Gateway's class is ingress.gateway.className." .Values.ingress.className) -}}
{{- end -}}
{{- if .Values.ingress.tls.managedCertificate -}}
{{- fail "ingress.tls.managedCertificate is of GKE's Ingress, and ingress.gateway.enabled makes none. Make a certificate map, name it in ingress.gateway.annotations.networking\\.gke\\.io/certmap, and set managedCertificate=false." -}}
{{- end -}}
{{- if and $gateway.parentRefs (or .Values.ingress.tlsSecret .Values.ingress.tls.issuer) -}}
{{- fail "ingress.gateway.parentRefs: encryption ends at that Gateway, whose certificate is its owner's. Set ingress.tls.elsewhere=true in place of ingress.tlsSecret or ingress.tls.issuer." -}}
{{- end -}}
{{- if and (regexMatch "^gke-.*external" $gateway.className) (eq (include "studio.scheme" .) "http") -}}
{{- fail (printf "ingress.gateway.className is %s, which has a public address, and the page would be on plain HTTP, password and all. Set ingress.tlsSecret, or ingress.tls.issuer (cert-manager), or ingress.gateway.annotations.networking\\.gke\\.io/certmap." $gateway.className) -}}
{{- end -}}
{{- if and (not (include "ai-film.offline" .)) (not (.Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1")) -}}
{{- fail "ingress.gateway.enabled is true, and this cluster has no Gateway API. Install it and a controller (https://gateway-api.sigs.k8s.io), or set ingress.gateway.enabled=false for an Ingress." -}}
{{- end -}}
{{- end -}}
{{- if .Values.ingress.oidc.enabled -}}
{{- $oidc := .Values.ingress.oidc -}}
{{- range $key := list "issuerURL" "clientID" "existingSecret" -}}
{{- if not (get $oidc $key) -}}
{{- fail (printf "ingress.oidc.enabled needs ingress.oidc.%s: a login wants an issuer, a client's id there, and a Secret with its client-secret and a cookie-secret." $key) -}}
{{- end -}}
{{- end -}}
{{- if not (or $oidc.emailDomains $oidc.groups) -}}
{{- fail "ingress.oidc: nobody says who may come in, and the issuer may know everybody. Set ingress.oidc.emailDomains or ingress.oidc.groups; ingress.oidc.emailDomains={*} lets all of the issuer's people in." -}}
{{- end -}}
{{- if eq (include "studio.scheme" .) "http" -}}
{{- fail "ingress.oidc: the pages are on plain HTTP, where a login's cookie is for all to take. Set ingress.tlsSecret, ingress.tls.issuer or ingress.tls.managedCertificate; where TLS ends before the ingress, ingress.tls.elsewhere=true." -}}
{{- end -}}
{{- if lt (int $oidc.replicas) 1 -}}
{{- fail "ingress.oidc.replicas is 0: nobody could come in. Set at least 1, or ingress.oidc.enabled=false." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.className (get .Values.ingress.annotations "kubernetes.io/ingress.class") -}}
{{- fail "ingress.className and the annotation kubernetes.io/ingress.class exclude each other. On GKE keep the annotation, elsewhere className." -}}
{{- end -}}
{{- /* GKE's class gce makes a load balancer with a public address: passwords would cross the internet as they are. */ -}}
{{- if and (eq (get .Values.ingress.annotations "kubernetes.io/ingress.class" | default .Values.ingress.className) "gce") (eq (include "studio.scheme" .) "http") -}}
{{- fail "ingress: GKE's load balancer gce has a public address, and the page would be on plain HTTP, password and all. Set ingress.host to a name of yours and ingress.tls.managedCertificate=true, or ingress.tls.issuer (cert-manager), or ingress.tlsSecret; or take the private one, ingress.annotations.kubernetes\\.io/ingress\\.class=gce-internal." -}}
{{- end -}}
{{- if .Values.ingress.tls.managedCertificate -}}
{{- range $host, $_ := $hosts -}}
{{- if or (not (contains "." $host)) (hasSuffix ".local" $host) (hasSuffix ".internal" $host) (regexMatch "^[0-9.]+$" $host) -}}
{{- fail (printf "ingress.tls.managedCertificate: Google makes certificates for public names only, and %q is none. Set ingress.host to a name of yours that leads to the load balancer." $host) -}}
{{- end -}}
{{- end -}}
{{- if or .Values.ingress.tlsSecret .Values.ingress.tls.issuer -}}
{{- fail "ingress.tls.managedCertificate and ingress.tlsSecret or ingress.tls.issuer exclude each other: one certificate is enough. Keep one." -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Argo CD renders without the cluster, and every render would make other passwords. It is known by the cluster's API list beside Helm's built-in one, which has what no cluster has any more. */ -}}
{{- if and .Values.global.existingSecret .Values.global.secretSeed -}}
{{- fail "global.existingSecret and global.secretSeed exclude each other: passwords are yours, or derived. Keep one." -}}
{{- end -}}
{{- if and $offline (.Capabilities.APIVersions.Has "apiregistration.k8s.io/v1") (not .Values.global.existingSecret) (not .Values.global.secretSeed) -}}
{{- fail "the chart is rendered for a cluster that templates cannot read, as Argo CD does: every render would make new passwords, and the databases keep the old ones. Set global.existingSecret to a Secret of yours, or global.secretSeed to a secret text of at least 32 characters." -}}
{{- end -}}

{{- $backup := .Values.backup -}}
{{- if $backup.enabled -}}
{{- if not $backup.existingSecret -}}
{{- fail "backup.enabled needs backup.existingSecret: backups are encrypted with its key password. Make one, and keep a copy where the cluster's end doesn't reach it: kubectl create secret generic ai-film-backup --from-literal=password=$(openssl rand -hex 32)" -}}
{{- end -}}
{{- if eq (empty $backup.claim) (empty $backup.s3.url) -}}
{{- fail "backup.enabled needs one place: backup.claim, a claim of yours beside the studio's, or backup.s3.url, such as https://s3.example.com/backups/ai-film. Set one of them." -}}
{{- end -}}
{{- range $claim := list "images" "videos" "models" "dagster" "postgres" -}}
{{- if eq $backup.claim (include "studio.name" (list $ (printf "%s-pvc" $claim))) -}}
{{- fail (printf "backup.claim is %s, one of the volumes to be backed up: both would be lost together. Name a claim on other storage." $backup.claim) -}}
{{- end -}}
{{- end -}}
{{- if not (or $backup.keep.last $backup.keep.daily $backup.keep.weekly $backup.keep.monthly) -}}
{{- fail "backup.keep names no backup that stays: each would delete itself. Set at least one of last, daily, weekly and monthly." -}}
{{- end -}}
{{- end -}}
{{- if and $backup.restore.snapshot (not $backup.enabled) -}}
{{- fail "backup.restore.snapshot names a backup, and backup.enabled is false, so nobody knows where it is. Set backup.enabled=true with the place and the password of the backup." -}}
{{- end -}}
{{- if and $backup.restore.overwrite (has $backup.restore.snapshot (list "" "latest")) -}}
{{- fail "backup.restore.overwrite: films may be lost for a backup that is named by its id alone, not for the latest, which is another every night. Set backup.restore.snapshot to an id." -}}
{{- end -}}

{{- /* A password stands in URLs. What is in the cluster can be read only during install and upgrade, not by `helm template`. */ -}}
{{- with .Values.global.existingSecret -}}
{{- $data := dig "data" dict (lookup "v1" "Secret" $.Release.Namespace . | default dict) -}}
{{- if $data -}}
{{- $secret := . -}}
{{- range $key := include "ai-film.passwords" $ | fromYamlArray -}}
{{- if not (get $data $key) -}}
{{- fail (printf "global.existingSecret: the Secret %s has no key %s. Add it; the keys are %s." $secret $key (include "ai-film.passwords" $ | fromYamlArray | join ", ")) -}}
{{- end -}}
{{- if and (eq $key "service-token") (lt (get $data $key | b64dec | len) 16) -}}
{{- fail (printf "global.existingSecret: service-token in the Secret %s has fewer than 16 characters, and no service starts with it. Take more, by chance: openssl rand -hex 20." $secret) -}}
{{- end -}}
{{- if and (hasSuffix "-password" $key) (not (regexMatch "^[A-Za-z0-9._~-]+$" (get $data $key | b64dec))) -}}
{{- fail (printf "global.existingSecret: %s in the Secret %s has characters that have a meaning in a URL. Use letters, digits and . _ ~ - only." $key $secret) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What another release left behind, or still uses, is not taken from it. */ -}}
{{- if not .Values.global.existingSecret -}}
{{- $name := include "studio.secret" . -}}
{{- $owner := dig "metadata" "annotations" "meta.helm.sh/release-name" "" (lookup "v1" "Secret" .Release.Namespace $name | default dict) -}}
{{- if and $owner (ne $owner .Release.Name) -}}
{{- fail (printf "the Secret %s belongs to the release %s. Use that name to carry on with its data, set global.existingSecret=%s to share its passwords, or global.releasePrefix=true for a studio of its own beside it." $name $owner $name) -}}
{{- end -}}
{{- end -}}

{{- /* A claim cannot move: Kubernetes refuses another class or access mode half-way through an upgrade. */ -}}
{{- range $claim := list "images" "videos" "models" "dagster" "postgres" -}}
{{- $storage := index $.Values.storage $claim -}}
{{- $name := include "studio.name" (list $ (printf "%s-pvc" $claim)) -}}
{{- $live := lookup "v1" "PersistentVolumeClaim" $.Release.Namespace $name | default dict -}}
{{- if and $live $storage.create -}}
{{- $owner := dig "metadata" "annotations" "meta.helm.sh/release-name" "" $live -}}
{{- if and $owner (ne $owner $.Release.Name) -}}
{{- fail (printf "the claim %s belongs to the release %s. Use that name to carry on with its data, set storage.%s.create=false to share the volume, or global.releasePrefix=true for a studio of its own beside it." $name $owner $claim) -}}
{{- end -}}
{{- $remedy := printf "A volume cannot change its home: back up what is on it, uninstall, delete the claim %s, install anew and restore. Or keep it as it is" $name -}}
{{- $mode := dig "spec" "accessModes" (list "") $live | first -}}
{{- if and $mode (ne $mode $storage.accessMode) -}}
{{- fail (printf "storage.%s.accessMode is %s, but the claim %s in the cluster is %s. %s: --set storage.%s.accessMode=%s." $claim $storage.accessMode $name $mode $remedy $claim $mode) -}}
{{- end -}}
{{- $has := dig "spec" "resources" "requests" "storage" "" $live -}}
{{- $class := dig "spec" "storageClassName" "" $live -}}
{{- if $has -}}
{{- if lt (include "ai-film.bytes" $storage.size | float64) (include "ai-film.bytes" $has | float64) -}}
{{- fail (printf "storage.%s.size is %s, but the claim %s in the cluster has %s, and a volume cannot shrink. Keep it: --set storage.%s.size=%s." $claim (toString $storage.size) $name $has $claim $has) -}}
{{- end -}}
{{- if and $class $.Values.preflight.enabled (gt (include "ai-film.bytes" $storage.size | float64) (include "ai-film.bytes" $has | float64)) -}}
{{- $grows := lookup "storage.k8s.io/v1" "StorageClass" "" $class | default dict -}}
{{- if and $grows (not $grows.allowVolumeExpansion) -}}
{{- fail (printf "storage.%s.size is %s, but the claim %s in the cluster has %s, and volumes of class %s cannot grow. %s: --set storage.%s.size=%s." $claim (toString $storage.size) $name $has $class $remedy $claim $has) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $class $storage.storageClass (ne $class $storage.storageClass) -}}
{{- fail (printf "storage.%s.storageClass is %s, but the claim %s in the cluster is of class %s. %s: --set storage.%s.storageClass=%s." $claim $storage.storageClass $name $class $remedy $claim $class) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if and .Values.preflight.enabled .Release.IsInstall -}}{{ include "ai-film.preflight" . }}{{- end -}}
{{- end -}}

{{/*
Whether the home can hold the studio: its StorageClasses and its nodes, where they can be read. Only before an install; what
runs already is not judged by what the cluster has now.
*/}}
{{- define "ai-film.preflight" -}}
{{- $comfyui := .Values.processing.comfyui -}}
{{- $draws := and .Values.processing.enabled $comfyui.enabled (eq $comfyui.mode "gpu") -}}
{{- $nodes := (lookup "v1" "Node" "" "" | default dict).items | default list -}}
{{- $with := list -}}
{{- range $nodes -}}
{{- if gt (dig "status" "allocatable" $comfyui.gpu.resourceName 0 . | int) 0 }}{{ $with = append $with .metadata.name }}{{ end -}}
{{- end -}}

{{- /* Classes whose volumes one node has to itself. */ -}}
{{- $single := list "rancher.io/local-path" "pd.csi.storage.gke.io" "kubernetes.io/gce-pd" "ebs.csi.aws.com" "kubernetes.io/aws-ebs" "disk.csi.azure.com" "kubernetes.io/azure-disk" "cinder.csi.openstack.org" "csi.hetzner.cloud" "dobs.csi.digitalocean.com" "linodebs.csi.linode.com" "openebs.io/local" "topolvm.io" -}}
{{- $classes := dict -}}
{{- $default := "" -}}
{{- range (lookup "storage.k8s.io/v1" "StorageClass" "" "" | default dict).items | default list -}}
{{- $_ := set $classes .metadata.name .provisioner -}}
{{- if eq (dig "metadata" "annotations" "storageclass.kubernetes.io/is-default-class" "" .) "true" }}{{ $default = .metadata.name }}{{ end -}}
{{- end -}}
{{- if $classes -}}
{{- range $claim := list "images" "videos" "models" "dagster" "postgres" -}}
{{- $storage := index $.Values.storage $claim -}}
{{- $name := include "studio.name" (list $ (printf "%s-pvc" $claim)) -}}
{{- $asked := $storage.storageClass | default $default -}}
{{- if and $storage.create (not (lookup "v1" "PersistentVolumeClaim" $.Release.Namespace $name)) -}}
{{- if not $asked -}}
{{- fail (printf "storage.%s.storageClass is empty, and this cluster has no default StorageClass. Name one of %s: --set storage.%s.storageClass=…" $claim (keys $classes | sortAlpha | join ", ") $claim) -}}
{{- end -}}
{{- if not (hasKey $classes $asked) -}}
{{- fail (printf "storage.%s.storageClass is %s, and this cluster has no such StorageClass. It has %s: take the profile in values/ that is made for it, or --set storage.%s.storageClass=…" $claim $asked (keys $classes | sortAlpha | join ", ") $claim) -}}
{{- end -}}
{{- $provisioner := get $classes $asked -}}
{{- if and (eq $storage.accessMode "ReadWriteMany") (has $provisioner $single) -}}
{{- $profile := "dev" -}}
{{- if contains "gke" $provisioner }}{{ $profile = "gke-autoscaling" }}{{ else if $with }}{{ $profile = "k3s-single-gpu" }}{{ end -}}
{{- fail (printf "storage.%s.accessMode is ReadWriteMany, and the StorageClass %s (%s) makes volumes for one node only: pods would wait for theirs for ever. Take the profile made for such a cluster, -f values/%s.yaml, or a class whose volumes many nodes share: --set storage.%s.storageClass=…" $claim $asked $provisioner $profile $claim) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A pool that grows from nothing has no node to look at yet; a device that is claimed is none of the node's resources. */ -}}
{{- if and $draws $nodes (not $comfyui.autoscaling.enabled) (not $comfyui.gpu.deviceClass) (not $with) -}}
{{- fail (printf "processing.comfyui.mode is gpu, and no node of this cluster offers %s: ComfyUI would wait for one for ever. Without a GPU take -f values/dev.yaml, or mode remote with a ComfyUI elsewhere; with one, install its device plugin or name its resource, processing.comfyui.gpu.resourceName." $comfyui.gpu.resourceName) -}}
{{- end -}}

{{- /* On one node of several it is the first pod that decides where the volumes are, and it knows nothing of GPUs. */ -}}
{{- if and $draws .Values.global.singleNode $with (gt (len $nodes) (len $with)) (not .Values.global.nodeSelector) -}}
{{- fail (printf "global.singleNode keeps the studio on one node, and only %s of this cluster's %d nodes has %s: the volumes could end on another. Say which: --set global.nodeSelector.kubernetes\\.io/hostname=%s." (join ", " $with) (len $nodes) $comfyui.gpu.resourceName (first $with)) -}}
{{- end -}}
{{- end -}}

{{/*
Whether the chart is rendered without a cluster: "true" or nothing. Helm's own list of APIs, taken then, has what no cluster that
this chart is for serves any more.
*/}}
{{- define "ai-film.offline" -}}
{{- if .Capabilities.APIVersions.Has "extensions/v1beta1" }}true{{ end -}}
{{- end -}}

{{/* The names in a list of variables, as a list. */}}
{{- define "ai-film.names" -}}
{{- $names := list -}}
{{- range . -}}
{{- if not .name }}{{ fail "extraEnv: every entry needs a name, as an EnvVar of Kubernetes has: [{name: A, valueFrom: {…}}]." }}{{ end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- toYaml $names -}}
{{- end -}}

{{/* A quantity in bytes, as a number with no unit. */}}
{{- define "ai-film.bytes" -}}
{{- $quantity := toString . -}}
{{- if kindIs "float64" . }}{{ $quantity = printf "%.0f" . }}{{ end -}}
{{- $unit := regexFind "[A-Za-z]+$" $quantity -}}
{{- $factor := get (dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0) $unit -}}
{{- printf "%.0f" (mulf (regexFind "^[0-9.]+" $quantity | float64) $factor) -}}
{{- end -}}
