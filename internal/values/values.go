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
	// What a film maker meets: Dagster, LangGraph and Flask.
	Application Application `json:"application"`
	// What makes the pictures: ComfyUI, Blender and OpenCV.
	Processing Processing `json:"processing"`
	// What holds and encodes them: PostgreSQL, Redis and FFmpeg.
	Data Data `json:"data"`
}

// Global are values every subchart sees.
type Global struct {
	// A registry that mirrors every image, put in place of each image's own, such as `registry.example.com/mirror`.
	ImageRegistry string `json:"imageRegistry"`
	// Names of Secrets of type kubernetes.io/dockerconfigjson with the registry's credentials.
	ImagePullSecrets []string `json:"imagePullSecrets" schema:"format=name"`
	// A Secret of your own with the keys postgres-password, studio-password, langgraph-password, dagster-password,
	// redis-password, admin-password, secret-key and service-token (at least 16 characters). Passwords stand in URLs, so letters, digits and `._~-` only. Empty: the
	// chart generates a Secret once and keeps it. Needed where templates cannot read the cluster, as under Argo CD.
	ExistingSecret string `json:"existingSecret" schema:"format=name?"`
	// Puts the release's name before the name of every object, for two releases in one namespace. Objects are otherwise named
	// after their service, so that dagster.<namespace>.svc.cluster.local works everywhere.
	ReleasePrefix bool `json:"releasePrefix"`
	// Keeps all pods that share volumes on one node, by pod affinity. Needed where a shared volume is ReadWriteOnce.
	SingleNode bool `json:"singleNode"`
	// The PostgreSQL to use. One elsewhere needs the roles and databases studio, langgraph and dagster, each role owner of its
	// database.
	PostgreSQL Elsewhere `json:"postgresql"`
	// The Redis to use.
	Redis Elsewhere `json:"redis"`
	// What the pipeline asks of ComfyUI for each still.
	ComfyUI Take `json:"comfyui"`
}

// Elsewhere is a server that may run outside the release.
type Elsewhere struct {
	// The host of a server elsewhere; disable the chart's own then. Empty: the chart's own.
	Host string `json:"host" schema:"format=host?"`
	// The port it listens on.
	Port int `json:"port" schema:"min=1,max=65535"`
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
	// The IngressClass, such as `traefik` or `nginx`. Empty: the cluster's default.
	ClassName string `json:"className" schema:"format=name?"`
	// Annotations your ingress controller understands.
	Annotations map[string]string `json:"annotations"`
	// The host name of the studio's page.
	Host string `json:"host" schema:"format=host"`
	// A TLS Secret for the hosts. Empty: plain HTTP.
	TLSSecret string `json:"tlsSecret" schema:"format=name?"`
	// Dagster's page, for operators. It has no login of its own: put one before it.
	Dagster Page `json:"dagster"`
	// ComfyUI's page. It has no login of its own: put one before it.
	ComfyUI Page `json:"comfyui"`
}

// Page is a service's page under a host of its own.
type Page struct {
	// Lead to the page.
	Enabled bool `json:"enabled"`
	// Its host name; pages work under a host of their own only, not under a path.
	Host string `json:"host" schema:"format=host"`
}
