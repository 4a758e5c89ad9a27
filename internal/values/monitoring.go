package values

// Monitoring shows what the studio does, and tells when something is wrong.
type Monitoring struct {
	// Install this layer.
	Enabled bool `json:"enabled"`
	// Who collects, judges and shows: `operator`, a Prometheus Operator that is there, such as kube-prometheus-stack's; `gke`, Google's
	// Managed Service for Prometheus; `own`, a small Prometheus and Alertmanager of the studio's, for where nothing is there.
	// metrics.monitorLabels are labels of what an operator has to find.
	Mode string `json:"mode" schema:"enum=operator|gke|own"`
	// The recording and alerting rules of the chart.
	Rules Rules `json:"rules"`
	// The chart's dashboards, as ConfigMaps.
	Dashboards Dashboards `json:"dashboards"`
	// Mode own: what collects and judges.
	Prometheus Prometheus `json:"prometheus"`
	// Mode own: who is told, once for one cause.
	Alertmanager Alertmanager `json:"alertmanager"`
	// Mode own: what pages for people are made of the metrics. Sign in as admin, with the password of the studio's page.
	Grafana Grafana `json:"grafana"`
	// Mode own: what says how Kubernetes sees the pods, Jobs and claims of the namespace. The other modes have one of the cluster's.
	KubeStateMetrics Exporter `json:"kubeStateMetrics"`
	// Mode own: what measures the nodes, their CPU and memory, as far as a pod sees them that mounts nothing of theirs; tolerations say on
	// which tainted ones, too. The other modes have one of the cluster's.
	Node Exporter `json:"node"`
	// What measures the chart's own PostgreSQL, under a role that sees statistics and no film.
	PostgreSQL Exporter `json:"postgresql"`
	// What measures the chart's own Redis.
	Redis Exporter `json:"redis"`
	// What measures NVIDIA's GPUs, on the nodes that have some: NVIDIA's dcgm-exporter. It runs as root and mounts a directory of the node,
	// which Pod Security `restricted` refuses. Leave it off where NVIDIA's GPU operator or GKE run one.
	DCGM Exporter `json:"dcgm"`
}

// Rules are the recording and alerting rules, those of charts/monitoring/rules.
type Rules struct {
	// Give them to the Prometheus of the mode.
	Enabled bool `json:"enabled"`
}

// Dashboards are JSON for Grafana, a ConfigMap each. Mode own gives them to its Grafana, too.
type Dashboards struct {
	// Make the ConfigMaps.
	Enabled bool `json:"enabled"`
	// Labels of the ConfigMaps, by which Grafana's sidecar finds them.
	Labels map[string]string `json:"labels"`
	// Annotations of the ConfigMaps, such as the folder: `grafana_folder: Studio`.
	Annotations map[string]string `json:"annotations"`
}

// Prometheus is a single server, which keeps what it has over its own end.
type Prometheus struct {
	// Prometheus 2.53 or newer.
	Image Image `json:"image"`
	// How often metrics are read, such as `30s`.
	Interval string `json:"interval" schema:"pattern=^[1-9][0-9]*(s|m)$"`
	// How long they are kept, such as `15d`.
	RetentionTime string `json:"retentionTime" schema:"pattern=^[1-9][0-9]*(h|d|w|y)$"`
	// How many bytes of them are kept, such as `4GB`: well below the size of the volume.
	RetentionSize string `json:"retentionSize" schema:"pattern=^[1-9][0-9]*(MB|GB|TB)$"`
	// Read what the kubelets measure of the studio's pods and volumes. For that alone the chart makes a ClusterRole: `get` of
	// `nodes/metrics`.
	Kubelet bool `json:"kubelet"`
	// The volume, prometheus-pvc.
	Storage Volume `json:"storage"`
	// CPU and memory of the pod.
	Resources Resources `json:"resources"`
	Pod
}

// Alertmanager groups alerts, keeps back what another explains, and tells people.
type Alertmanager struct {
	// Run it. Without it alerts are seen on Prometheus' page only.
	Enabled bool `json:"enabled"`
	// Alertmanager 0.26 or newer.
	Image Image `json:"image"`
	// The severities that people are told of. Rules have `page`, for what a film maker suffers from, and `info`, for causes.
	Severities []string `json:"severities" schema:"minLength=1"`
	// How long alerts of one group are waited for before they are told together.
	GroupWait string `json:"groupWait" schema:"pattern=^[0-9]+(s|m)$"`
	// After how long an alert that goes on is told again.
	RepeatInterval string `json:"repeatInterval" schema:"pattern=^[1-9][0-9]*(m|h|d)$"`
	// A Secret with what receivers need: `webhook-url`, unless webhook.url has it, `slack-url`, `smtp-password`.
	ExistingSecret string `json:"existingSecret" schema:"format=name?"`
	// A POST of Alertmanager's JSON.
	Webhook Webhook `json:"webhook"`
	// A message in Slack, by the incoming webhook whose URL is `slack-url` of existingSecret.
	Slack Slack `json:"slack"`
	// A mail.
	Email Email `json:"email"`
	// CPU and memory of the pod.
	Resources Resources `json:"resources"`
	Pod
}

// Webhook is a receiver of Alertmanager's.
type Webhook struct {
	// Tell it.
	Enabled bool `json:"enabled"`
	// Its URL. Empty: the key `webhook-url` of existingSecret.
	URL string `json:"url" schema:"format=url?"`
}

// Slack is a receiver of Alertmanager's.
type Slack struct {
	// The channel, such as `#films`. Empty: none is told.
	Channel string `json:"channel"`
}

// Email is a receiver of Alertmanager's.
type Email struct {
	// Who gets it. Empty: nobody.
	To string `json:"to"`
	// Who it is from.
	From string `json:"from"`
	// The mail server and its port, such as `mail.example.com:587`.
	SmartHost string `json:"smartHost" schema:"pattern=^([A-Za-z0-9._-]+:[0-9]+)?$"`
	// Who signs in there, with the key `smtp-password` of existingSecret. Empty: it asks for nothing.
	Username string `json:"username"`
}

// Grafana shows the dashboards.
type Grafana struct {
	// Run it.
	Enabled bool `json:"enabled"`
	// Grafana 11 or newer.
	Image Image `json:"image"`
	// CPU and memory of the pod.
	Resources Resources `json:"resources"`
	Pod
}

// Exporter measures something that has no metrics of its own.
type Exporter struct {
	// Run it.
	Enabled bool `json:"enabled"`
	// The image it runs.
	Image Image `json:"image"`
	// CPU and memory of the pod.
	Resources Resources `json:"resources"`
	Pod
}
