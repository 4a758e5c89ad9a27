// Package values holds the typed values of the chart charts/ai-film.
//
// The types are the one source for three things: charts/ai-film/values.yaml
// decodes into them without a key left over on either side, the schemas that
// Helm checks a user's values against are generated from them, and so is the
// reference docs/values.md. The doc comment of a field is the description a
// user reads; the tag `schema` bounds what it may hold (see package reference).
package values

//go:generate go run ./cmd/values-gen ../..

// Values are all values of the chart.
type Values struct {
	// What holds for every service.
	Global Global `json:"global"`
	// The five volumes, one claim each. Claims outlive the release: uninstalling keeps them.
	Storage Storage `json:"storage"`
	// How browsers reach the studio.
	Ingress Ingress `json:"ingress"`
	// Who may speak to whom: NetworkPolicies that deny everything but what SECURITY.md draws.
	NetworkPolicy NetworkPolicy `json:"networkPolicy"`
	// How metrics are collected, and what scales by them.
	Metrics Metrics `json:"metrics"`
	// What the chart asks the cluster before it installs anything.
	Preflight Preflight `json:"preflight"`
	// The film that `helm test` makes.
	Test Test `json:"test"`
	// Backups of databases, films and passwords, and how a studio moves to another home: see docs/backup.md.
	Backup Backup `json:"backup"`
	// Labels of every object and pod.
	CommonLabels map[string]string `json:"commonLabels"`
	// Annotations of every object and pod.
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	// Objects of your own that are installed with the studio; templates in them are carried out.
	ExtraObjects []map[string]any `json:"extraObjects"`
	// What a film maker meets: Dagster, LangGraph and Flask.
	Application Application `json:"application"`
	// What makes the pictures: ComfyUI, Blender and OpenCV.
	Processing Processing `json:"processing"`
	// What holds and encodes them: PostgreSQL, Redis and FFmpeg.
	Data Data `json:"data"`
	// What shows all that, and tells when something is wrong: see docs/monitoring.md.
	Monitoring Monitoring `json:"monitoring"`
}

// Global are values every subchart sees.
type Global struct {
	// A registry that mirrors every image, put in place of each image's own, such as `registry.example.com/mirror`.
	ImageRegistry string `json:"imageRegistry" schema:"pattern=^([A-Za-z0-9][A-Za-z0-9._:/-]*)?$"`
	// Digests of images by repository, such as `aifilm/flask: sha256:…`, all of them pinned in one place.
	ImageDigests map[string]string `json:"imageDigests"`
	// Names of Secrets of type kubernetes.io/dockerconfigjson with the registry's credentials.
	ImagePullSecrets []string `json:"imagePullSecrets" schema:"format=name"`
	// A Secret of your own with the keys postgres-password, studio-password, langgraph-password, dagster-password,
	// redis-password, admin-password, secret-key, service-token and, for the bridge, bridge-secret (both at least 16 characters). Passwords stand in URLs, so letters,
	// digits and `._~-` only. Empty: the chart generates a Secret once and keeps it. Where templates cannot read the cluster, as
	// under Argo CD, this or secretSeed is needed.
	ExistingSecret string `json:"existingSecret" schema:"format=name?"`
	// A secret text of at least 32 characters that every password is derived from, for Argo CD and others that render the chart
	// without the cluster. Who knows it and the namespace knows the passwords: keep it out of the repository.
	SecretSeed string `json:"secretSeed" schema:"pattern=^(.{32}.*)?$"`
	// Puts the release's name before the name of every object, for two releases in one namespace. Objects are otherwise named
	// after their service, so that dagster.<namespace>.svc.cluster.local works everywhere.
	ReleasePrefix bool `json:"releasePrefix"`
	// Keeps all pods that share volumes on one node, by pod affinity. Needed where a shared volume is ReadWriteOnce.
	SingleNode bool `json:"singleNode"`
	// Labels a node must have, for every pod: a cluster's node pool, or with singleNode the node that has the GPU.
	NodeSelector map[string]string `json:"nodeSelector"`
	// Taints that every pod puts up with.
	Tolerations []Toleration `json:"tolerations"`
	// Which nodes and neighbours the pods want whose service names none.
	Affinity Affinity `json:"affinity"`
	// The priority of the pods whose service names none.
	PriorityClassName string `json:"priorityClassName" schema:"format=name?"`
	// Say under which user and group ids pods run. False where the cluster gives each namespace its own, as OpenShift does.
	UserIDs bool `json:"userIDs"`
	// Listen on IPv6, and some services on nothing else: for clusters whose pods have IPv6 addresses, alone or in the first place.
	IPv6 bool `json:"ipv6"`
	// The ipFamilyPolicy of Services, such as `PreferDualStack`. Empty: the cluster's way.
	IPFamilyPolicy string `json:"ipFamilyPolicy" schema:"enum=|SingleStack|PreferDualStack|RequireDualStack"`
	// The PostgreSQL to use. One elsewhere needs the roles and databases below, each role owner of its database.
	PostgreSQL PostgreSQLElsewhere `json:"postgresql"`
	// The Redis to use.
	Redis RedisElsewhere `json:"redis"`
	// What the pipeline asks of ComfyUI for each still.
	ComfyUI Take `json:"comfyui"`
}

// PostgreSQLElsewhere is a PostgreSQL that may run outside the release.
type PostgreSQLElsewhere struct {
	// The host of a server elsewhere; disable the chart's own then. Empty: the chart's own.
	Host string `json:"host" schema:"format=host?"`
	// The port it listens on.
	Port int `json:"port" schema:"min=1,max=65535"`
	// How connections to a server elsewhere are encrypted and the server known. Empty: libpq's way, `prefer`.
	SSLMode string `json:"sslMode" schema:"enum=|disable|allow|prefer|require|verify-ca|verify-full"`
	// A Secret with the certificate of the authority that signed the server's, for verify-ca and verify-full.
	CASecret string `json:"caSecret" schema:"format=name?"`
	// The certificate's key in it.
	CAKey string `json:"caKey" schema:"minLength=1"`
	// A Secret with the passwords of a server elsewhere. Empty: the studio's.
	ExistingSecret string `json:"existingSecret" schema:"format=name?"`
	// The databases of a server elsewhere; the chart's own has these names.
	Databases Databases `json:"databases"`
}

// Databases are those of the services that keep something.
type Databases struct {
	// Films, stages and sessions.
	Studio Database `json:"studio"`
	// The planner's checkpoints.
	LangGraph Database `json:"langgraph"`
	// Dagster's runs and events.
	Dagster Database `json:"dagster"`
}

// Database is one database and who owns it.
type Database struct {
	// Its name.
	Name string `json:"name" schema:"pattern=^[A-Za-z0-9._~-]+$"`
	// The role that owns it.
	User string `json:"user" schema:"pattern=^[A-Za-z0-9._~-]+$"`
	// The key of the role's password in the Secret.
	PasswordKey string `json:"passwordKey" schema:"minLength=1"`
}

// RedisElsewhere is a Redis that may run outside the release.
type RedisElsewhere struct {
	// The host of a server elsewhere; disable the chart's own then. Empty: the chart's own.
	Host string `json:"host" schema:"format=host?"`
	// The port it listens on.
	Port int `json:"port" schema:"min=1,max=65535"`
	// The user on a server elsewhere. Empty: the default user.
	User string `json:"user" schema:"pattern=^[A-Za-z0-9._~-]*$"`
	// The database's number.
	Database int `json:"database" schema:"min=0,max=1000"`
	// Speak TLS to a server elsewhere.
	TLS bool `json:"tls"`
	// A Secret with the certificate of the authority that signed the server's. Empty: the well-known ones.
	CASecret string `json:"caSecret" schema:"format=name?"`
	// The certificate's key in it.
	CAKey string `json:"caKey" schema:"minLength=1"`
	// A Secret with the password of a server elsewhere. Empty: the studio's.
	ExistingSecret string `json:"existingSecret" schema:"format=name?"`
	// The password's key in it.
	PasswordKey string `json:"passwordKey" schema:"minLength=1"`
}

// Take is what a still is made with.
type Take struct {
	// The model's file name, in the directory checkpoints of the models volume.
	Checkpoint string `json:"checkpoint" schema:"minLength=1"`
	// Sampling steps of a still.
	Steps int `json:"steps" schema:"min=1,max=150"`
}

// Storage are the volumes.
type Storage struct {
	// Stills and frames, images-pvc at /data/images: about 0.5 GiB a minute of film at 640×360.
	Images Volume `json:"images"`
	// Clips and finished films, videos-pvc at /data/videos.
	Videos Volume `json:"videos"`
	// ComfyUI's models, models-pvc at /data/models. An SDXL checkpoint takes 7 GiB.
	Models Volume `json:"models"`
	// What runs print, dagster-pvc at /data/dagster.
	Dagster Volume `json:"dagster"`
	// PostgreSQL's data, postgres-pvc.
	Postgres Volume `json:"postgres"`
}

// Volume is one claim.
type Volume struct {
	// Make the claim. With false a claim of that name must be there already.
	Create bool `json:"create"`
	// The size to ask for. It can grow later where the class allows it, never shrink.
	Size Quantity `json:"size"`
	// How it is shared: by pods on several nodes, or on a single one, see global.singleNode. Cannot be changed later.
	AccessMode string `json:"accessMode" schema:"enum=ReadWriteMany|ReadWriteOnce"`
	// The StorageClass. Empty: the cluster's default. Cannot be changed later.
	StorageClass string `json:"storageClass" schema:"format=name?"`
}

// Ingress is how browsers reach the studio.
type Ingress struct {
	// Make an Ingress that leads to the studio's page.
	Enabled bool `json:"enabled"`
	// The IngressClass, such as `traefik` or `nginx`. Empty: the cluster's default. With nginx the Ingress bears the annotations that
	// the progress stream, films and uploads need; Traefik needs none.
	ClassName string `json:"className" schema:"format=name?"`
	// Annotations your ingress controller understands; they go before the chart's own.
	Annotations map[string]string `json:"annotations"`
	// The host name of the studio's page.
	Host string `json:"host" schema:"format=host"`
	// A TLS Secret for the hosts, yours or one that tls.issuer has made. Empty: plain HTTP, or with tls.issuer `ai-film-tls`.
	TLSSecret string `json:"tlsSecret" schema:"format=name?"`
	// Where the certificate comes from.
	TLS TLS `json:"tls"`
	// The Gateway API in place of an Ingress, for the same hosts.
	Gateway Gateway `json:"gateway"`
	// A login by OpenID Connect before all pages. The studio's page asks for its own password after that.
	OIDC OIDC `json:"oidc"`
	// Dagster's page, for operators. It has no login of its own: ingress.oidc puts one before it.
	Dagster Page `json:"dagster"`
	// ComfyUI's page. It asks for the service token, as the password of any user.
	ComfyUI Page `json:"comfyui"`
	// Where ComfyUI servers elsewhere register, by a signature.
	Bridge Page `json:"bridge"`
}

// TLS is where the ingress's certificate comes from, and where encryption ends.
type TLS struct {
	// A ClusterIssuer of cert-manager that makes the Secret.
	Issuer string `json:"issuer" schema:"format=name?"`
	// GKE: a certificate that Google makes and renews for the hosts, which must be public names of the load balancer's address.
	ManagedCertificate bool `json:"managedCertificate"`
	// Encryption ends at something before the ingress, which makes browsers use https: cookies are Secure then, too.
	Elsewhere bool `json:"elsewhere"`
}

// Gateway are HTTPRoutes, and if need be the Gateway that they hang on.
type Gateway struct {
	// Make HTTPRoutes, and no Ingress.
	Enabled bool `json:"enabled"`
	// Gateways that are there, as ParentReferences: `[{name: shared, namespace: infra}]`. Empty: className says which to make.
	ParentRefs []map[string]any `json:"parentRefs"`
	// Make a Gateway of this class, with a listener for each host, such as `gke-l7-global-external-managed` or `traefik`.
	ClassName string `json:"className" schema:"format=name?"`
	// Annotations of that Gateway, on GKE `networking.gke.io/certmap` for a certificate that Google keeps.
	Annotations map[string]string `json:"annotations"`
	// Make GKE's policies for the Services: its load balancer would cut the progress stream after 30 s, and look for health where
	// none is. Elsewhere the routes themselves have no time limit.
	GKE bool `json:"gke"`
}

// OIDC is oauth2-proxy before each page that is led to.
type OIDC struct {
	Service
	// The issuer, such as `https://accounts.google.com`. It must know `https://HOST/oauth2/callback` of each page.
	IssuerURL string `json:"issuerURL" schema:"format=url?"`
	// The client's id at the issuer.
	ClientID string `json:"clientID"`
	// A Secret with the keys `client-secret`, from the issuer, and `cookie-secret`, 32 bytes by chance: `openssl rand -hex 16`.
	ExistingSecret string `json:"existingSecret" schema:"format=name?"`
	// Who may come in: addresses of these domains, `*` for all that the issuer knows.
	EmailDomains []string `json:"emailDomains" schema:"pattern=^(\\*|[A-Za-z0-9.-]+)$"`
	// Who may come in: members of one of these groups, by the claim `groups`.
	Groups []string `json:"groups" schema:"minLength=1"`
	// What is asked of the issuer.
	Scope string `json:"scope" schema:"minLength=1"`
}

// Page is a service's page under a host of its own.
type Page struct {
	// Lead to the page.
	Enabled bool `json:"enabled"`
	// Its host name; pages work under a host of their own only, not under a path.
	Host string `json:"host" schema:"format=host"`
}

// NetworkPolicy draws the edges between pods.
type NetworkPolicy struct {
	// Make NetworkPolicies. Where the network plugin doesn't know them they do nothing.
	Enabled bool `json:"enabled"`
	// Deny also what other pods of the namespace do. With false only the studio's own pods are closed.
	WholeNamespace bool `json:"wholeNamespace"`
	// Who may open the studio's page, as NetworkPolicyPeers: your ingress controller. Empty: everybody.
	IngressFrom []map[string]any `json:"ingressFrom"`
	// Namespaces whose pods may read metrics on the management ports, and ask the studio's own Prometheus.
	MetricsNamespaces []string `json:"metricsNamespaces" schema:"format=name"`
	// Where names are resolved, as NetworkPolicyPeers, and on which ports.
	DNS Destination `json:"dns"`
	// Where the API server is, as NetworkPolicyPeers, and on which ports. SECURITY.md says who goes there.
	APIServer Destination `json:"apiServer"`
}

// Destination is where pods may go to.
type Destination struct {
	// NetworkPolicyPeers.
	To []map[string]any `json:"to"`
	// Port numbers.
	Ports []int `json:"ports" schema:"min=1,max=65535"`
}

// Metrics are collected from the management ports, which no Service has.
type Metrics struct {
	// Who collects where monitoring is off: `prometheus-operator` gets a PodMonitor, `gke` PodMonitorings of Managed Service for
	// Prometheus, `none` neither. With monitoring.enabled its mode says who.
	Collector string `json:"collector" schema:"enum=none|prometheus-operator|gke"`
	// What answers autoscalers that ask how long a queue is: `gke`, the Custom Metrics Stackdriver Adapter; `prometheus-adapter`,
	// with a rule that gives out aifilm_queue_length and aifilm_comfyui_queue_length as external metrics; `keda`, which
	// takes the autoscalers' place; `none`: they follow the CPU.
	Queues string `json:"queues" schema:"enum=none|gke|prometheus-adapter|keda"`
	// With `keda`: the Prometheus it asks. Empty: that of monitoring.mode `own`.
	PrometheusURL string `json:"prometheusURL" schema:"format=url?"`
	// Labels of PodMonitor and PrometheusRule, by which a Prometheus finds them.
	MonitorLabels map[string]string `json:"monitorLabels"`
}

// Preflight is what the chart asks the cluster before it installs anything.
type Preflight struct {
	// Read the cluster's StorageClasses and nodes, and refuse a home that cannot hold the studio. False where who installs may not
	// read them.
	Enabled bool `json:"enabled"`
}

// Test is the film that `helm test` makes.
type Test struct {
	// How long it may take, in seconds. Helm itself gives up after 300 unless told otherwise with `--timeout`.
	TimeoutSeconds int `json:"timeoutSeconds" schema:"min=10,max=86400"`
}

// Backup makes encrypted backups by restic, every night unless told otherwise, and restores one.
type Backup struct {
	// Make backups.
	Enabled bool `json:"enabled"`
	// An image with restic, PostgreSQL's client programs and ours.
	Image Image `json:"image"`
	// When, as cron has it.
	Schedule string `json:"schedule" schema:"pattern=^(@(hourly|daily|weekly|monthly)|([0-9*/\\x2c-]+ ){3}[0-9A-Za-z*/\\x2c-]+ [0-9A-Za-z*/\\x2c-]+)$"`
	// The time zone of the schedule, such as `Europe/Berlin`. Empty: the controllers'.
	TimeZone string `json:"timeZone" schema:"pattern=^[A-Za-z0-9_+/-]*$"`
	// A Secret with the key `password`, which encrypts the backups and without which nobody reads them, so keep a copy elsewhere; and for S3
	// `access-key` and `secret-key`, unless the account of the pods has access by itself.
	ExistingSecret string `json:"existingSecret" schema:"format=name?"`
	// A claim of yours that backups go to: another volume than the studio's, and better another disk.
	Claim string `json:"claim" schema:"format=name?"`
	// S3-compatible storage that backups go to.
	S3 S3 `json:"s3"`
	// Which backups stay.
	Keep Keep `json:"keep"`
	// How much of the stored data each backup reads again, in percent, to find what storage has lost.
	CheckPercent int `json:"checkPercent" schema:"min=1,max=100"`
	// Seconds after which a backup is given up.
	TimeLimitSeconds int `json:"timeLimitSeconds" schema:"min=60,max=604800"`
	// Put a backup in place of what the studio has.
	Restore Restore `json:"restore"`
	// CPU and memory of the pods.
	Resources Resources `json:"resources"`
	Pod
}

// S3 is a bucket.
type S3 struct {
	// Server, bucket and folder, such as `https://s3.eu-central-1.amazonaws.com/backups/ai-film`, or Google's
	// `https://storage.googleapis.com/…` with HMAC keys.
	URL string `json:"url" schema:"pattern=^(https?://[^/ ]+/[^/ ]+[^ ]*)?$"`
	// The region, where the server wants one.
	Region string `json:"region" schema:"pattern=^[A-Za-z0-9-]*$"`
}

// Keep is which backups stay: together these; all others go when a new one is made.
type Keep struct {
	// The newest so many.
	Last int `json:"last" schema:"min=0,max=10000"`
	// One of each day, for so many days.
	Daily int `json:"daily" schema:"min=0,max=10000"`
	// One of each week, for so many weeks.
	Weekly int `json:"weekly" schema:"min=0,max=10000"`
	// One of each month, for so many months.
	Monthly int `json:"monthly" schema:"min=0,max=10000"`
}

// Restore names a backup to restore. It is done once: left in the values it changes nothing more.
type Restore struct {
	// `latest`, or the id that the Job of a backup logged. Empty: none.
	Snapshot string `json:"snapshot" schema:"pattern=^(latest|[0-9a-f]{8}[0-9a-f]*)?$"`
	// The films that are there may be lost. Without it a restore into a studio that has films is refused.
	Overwrite bool `json:"overwrite"`
}
