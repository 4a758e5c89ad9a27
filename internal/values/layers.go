package values

// Application is the layer a film maker meets.
type Application struct {
	// Install this layer.
	Enabled bool `json:"enabled"`
	// The pipeline: a run a film. Webserver, one daemon and a code server.
	Dagster Dagster `json:"dagster"`
	// The planner: from a brief to scenes and shots.
	LangGraph LangGraph `json:"langgraph"`
	// The studio's page and API.
	Flask Flask `json:"flask"`
}

// Processing is the layer that makes the pictures.
type Processing struct {
	// Install this layer.
	Enabled bool `json:"enabled"`
	// The stills. The image is the relay's and the preview's; replicas, resources, placement, environment and autoscaling are the
	// servers'.
	ComfyUI ComfyUI `json:"comfyui"`
	// Camera moves and titles.
	Blender Blender `json:"blender"`
	// Grading, interpolation and the inspection of the finished film.
	OpenCV ScaledService `json:"opencv"`
}

// Data is the layer that holds and encodes.
type Data struct {
	// Install this layer.
	Enabled bool `json:"enabled"`
	// The databases.
	PostgreSQL PostgreSQL `json:"postgresql"`
	// Progress and caches, disposable.
	Redis Redis `json:"redis"`
	// Encoding, sound, subtitles and the cut.
	FFmpeg ScaledService `json:"ffmpeg"`
}

// Dagster is the pipeline. Replicas, resources and autoscaling are the webserver's; what pods are given holds for all of
// Dagster's, but for extraContainers in the pods of runs, which would never end.
type Dagster struct {
	ScaledService
	// The page shows and changes nothing. With false it can submit runs; it never creates pods itself.
	ReadOnly bool `json:"readOnly"`
	// The daemon that launches and watches runs; there is always exactly one.
	Daemon Part `json:"daemon"`
	// The code server, which also looks for new films.
	Code Part `json:"code"`
	// The pods that make films, one a film.
	Run Run `json:"run"`
}

// Part is a workload of a service beside its main one.
type Part struct {
	// CPU and memory of its pod.
	Resources Resources `json:"resources"`
}

// Run is what a film's pod may take.
type Run struct {
	// How many films are made at once; the others wait in a queue.
	MaxConcurrent int `json:"maxConcurrent" schema:"min=1,max=1000"`
	// Seconds of work after which a film is given up, waiting for services included; long films get more.
	TimeLimitSeconds int `json:"timeLimitSeconds" schema:"min=1,max=31536000"`
	// CPU and memory of a run's pod.
	Resources Resources `json:"resources"`
}

// LangGraph is the planner.
type LangGraph struct {
	ScaledService
	// A language model behind an API like OpenAI's. Without one a deterministic planner works.
	OpenAI OpenAI `json:"openai"`
}

// OpenAI is an endpoint that speaks OpenAI's API.
type OpenAI struct {
	// Its base URL, such as `https://api.openai.com/v1`. Empty: the deterministic planner.
	BaseURL string `json:"baseURL" schema:"format=url?"`
	// The model's name.
	Model string `json:"model"`
	// A Secret with the API key. Empty: the endpoint needs none.
	ExistingSecret string `json:"existingSecret" schema:"format=name?"`
	// The key's key in that Secret.
	SecretKey string `json:"secretKey" schema:"minLength=1"`
}

// Flask is the page and API.
type Flask struct {
	ScaledService
	// Addresses of proxies, as CIDRs, whose word on who asks and by which scheme counts: your ingress controller's pods, on GKE
	// `35.191.0.0/16` and `130.211.0.0/22`. Others could claim any address, so none is trusted unless you say so; then all
	// that comes through a proxy counts as one client.
	TrustedProxies []string `json:"trustedProxies" schema:"pattern=^[0-9a-fA-F.:]+(/[0-9]+)?$"`
	// Films that may wait or be in work; more are refused until there is room.
	QueueFilms int `json:"queueFilms" schema:"min=1,max=1000000"`
	// What goes when films have ended and the volumes fill up. Frames go an hour after a film's end, always.
	Retention Retention `json:"retention"`
	// GKE only: seconds a response may take, through a BackendConfig. GKE's own 30 s would cut the progress stream. 0: none.
	GKEBackendTimeout int `json:"gkeBackendTimeout" schema:"min=0,max=86400"`
}

// Retention is what goes of films that have ended.
type Retention struct {
	// Delete films so many days after their end. 0: never.
	Days int `json:"days" schema:"min=0,max=36500"`
	// How full a volume may be, a share such as `85%` or a size such as `200Gi`, before clips of ended films go. `0`: as full as it gets.
	Bytes string `json:"bytes" schema:"pattern=^([0-9]|[1-9][0-9]|100)%$|^[0-9]+([KMGT]i|[kMGT])?$"`
	// While a volume is too full: `keep` films, or delete the `oldest` first.
	Films string `json:"films" schema:"enum=keep|oldest"`
}

// ComfyUI makes the stills. The image is the relay's and the preview's; all else that services have in common is the
// servers'.
type ComfyUI struct {
	// Who draws: `gpu`, the real ComfyUI on a GPU; `cpu`, the same without; `preview`, an animatic from the same graph, with no
	// model; `remote`, a ComfyUI elsewhere.
	Mode string `json:"mode" schema:"enum=gpu|cpu|preview|remote"`
	ScaledService
	// Mode gpu: the GPUs of a server.
	GPU GPU `json:"gpu"`
	// Mode gpu: the runtime class that gives containers the GPU, on k3s `nvidia`. Empty: the cluster's default.
	RuntimeClassName string `json:"runtimeClassName" schema:"format=name?"`
	// Modes gpu and cpu: the real ComfyUI.
	Server Server `json:"server"`
	// The relay in front of the servers, which keeps prompts over the end of a server.
	Relay Relay `json:"relay"`
	// ComfyUI servers elsewhere.
	Remote Remote `json:"remote"`
	// Where they register.
	Bridge Bridge `json:"bridge"`
	// Modes gpu and cpu: the models that a Job fetches onto their volume. ComfyUI waits for them.
	Models Models `json:"models"`
}

// GPU is a server's share of the cluster's GPUs.
type GPU struct {
	// How many a server takes, request and limit alike.
	Count int `json:"count" schema:"min=1,max=16"`
	// The resource that the device plugin offers: `nvidia.com/gpu`, shared `nvidia.com/gpu.shared`, a part of one such as
	// `nvidia.com/mig-1g.10gb`, or another vendor's.
	ResourceName string `json:"resourceName" schema:"pattern=^[a-z0-9.-]+/[A-Za-z0-9._-]+$"`
	// Dynamic Resource Allocation in place of a device plugin: the DeviceClass to claim from, such as `gpu.nvidia.com`. Needs
	// Kubernetes 1.34. Empty: the device plugin.
	DeviceClass string `json:"deviceClass" schema:"format=name?"`
}

// Server is the real ComfyUI.
type Server struct {
	// An image whose working directory holds ComfyUI's main.py and that runs as any user on a read-only root file system.
	Image Image `json:"image"`
	// More arguments for main.py, such as `--lowvram`.
	Args []string `json:"args"`
	// The most that inputs, outputs and the page's database may take, on the node's disk.
	Work Quantity `json:"work"`
}

// Relay stands before the ComfyUI servers.
type Relay struct {
	// How many pods.
	Replicas int `json:"replicas" schema:"min=1,max=20"`
	// CPU and memory of a pod.
	Resources Resources `json:"resources"`
	Pod
}

// Remote are ComfyUI servers elsewhere. Beside those named here, those are used that the ConfigMap comfyui-endpoint names at the
// time: the bridge writes it, or you, and no upgrade does.
type Remote struct {
	// Let servers elsewhere draw beside those of the cluster. In mode remote they always may.
	Enabled bool `json:"enabled"`
	// Base URLs of servers that are always there, wherever they are.
	URLs []string `json:"urls" schema:"format=url"`
	// A Secret with what the servers ask for: authorization (the header as it is), or bearer-token, or username and password; beside
	// these cf-access-client-id and cf-access-client-secret of Cloudflare Access; and hosts, the names of the hosts that may be told it
	// (`gpu.example.com *.example.org`), for servers that register. Empty: they ask for nothing.
	ExistingSecret string `json:"existingSecret" schema:"format=name?"`
	// Networks, as CIDRs, that servers which register may be in. Public addresses always may be, all others are refused at each
	// connection, whatever a name or a redirect says.
	AllowCIDRs []string `json:"allowCIDRs" schema:"pattern=^[0-9a-fA-F.:]+/[0-9]+$"`
	// Mode remote: when no server elsewhere has been there for so long, such as `10m`, the preview draws, so that films end as
	// animatics. Empty: prompts wait.
	FallbackAfter string `json:"fallbackAfter" schema:"pattern=^([0-9]+[smh])*$"`
}

// Bridge is where servers elsewhere register. Who does shows a signature, made with the key bridge-secret of the studio's
// Secret; the server is looked at, and tried, before it is used.
type Bridge struct {
	// Run it. A server can also be named by hand in the ConfigMap comfyui-endpoint.
	Enabled bool `json:"enabled"`
	// Refuse servers without a GPU.
	RequireGPU bool `json:"requireGPU"`
	// An https URL that is looked at every minute for a registration, where a notebook can't reach the studio: a gist, or an object in a
	// bucket. Empty: none.
	Rendezvous string `json:"rendezvous" schema:"format=url?"`
	// CPU and memory of its pod.
	Resources Resources `json:"resources"`
	Pod
}

// Models are what a Job fetches, each file once: what is there with the right checksum stays. A container of extraContainers that
// does not end keeps the Job from ending.
type Models struct {
	// The files, under names of your own; null takes one of an earlier values file away. Lists for SDXL, Flux, LTX and Wan are in
	// `values/models/`.
	Files map[string]Model `json:"files"`
	// How many are fetched at once.
	Parallel int `json:"parallel" schema:"min=1,max=64"`
	// Take plain HTTP too, for a server of your own.
	AllowHTTP bool `json:"allowHTTP"`
	// CPU and memory of the Job's pod.
	Resources Resources `json:"resources"`
	Pod
}

// Model is a file to fetch.
type Model struct {
	// Where it is. Hosts may send on to their storage.
	URL string `json:"url" schema:"format=url"`
	// Where it goes below the models' directory, such as `checkpoints/sd_xl_base_1.0.safetensors`.
	Path string `json:"path" schema:"pattern=^[A-Za-z0-9_][^/\\\\]*(/[A-Za-z0-9_][^/\\\\]*)+$"`
	// Its SHA-256. Without one nothing says whether it is the right file: the Job's log tells what came, to be put here.
	SHA256 string `json:"sha256,omitempty" schema:"pattern=^([0-9a-f]{64})?$"`
	// How large it is, about: for the check of the disk before anything is fetched.
	Size Quantity `json:"size,omitempty"`
	// A Secret with a token that the URL's host asks for, and no other host is shown.
	TokenSecret string `json:"tokenSecret,omitempty" schema:"format=name?"`
	// The token's key in it; `token` if there is none.
	TokenKey string `json:"tokenKey,omitempty"`
}

// Blender makes camera moves and titles.
type Blender struct {
	ScaledService
	// Samples a pixel: more is smoother and slower.
	Samples int `json:"samples" schema:"min=1,max=4096"`
}

// PostgreSQL holds the databases.
type PostgreSQL struct {
	Service
	// Settings of postgresql.conf.
	Config map[string]string `json:"config" schema:"keys=^[a-z_][a-z0-9_.]*$"`
}

// Redis carries progress.
type Redis struct {
	Service
	// The memory its data may take, such as `256mb`; keep it well under resources.limits.memory.
	MaxMemory string `json:"maxmemory" schema:"pattern=^[0-9]+(b|kb|mb|gb|k|m|g)?$"`
	// What goes first when it is full.
	MaxMemoryPolicy string `json:"maxmemoryPolicy" schema:"enum=allkeys-lru|allkeys-lfu|volatile-lru|volatile-lfu|volatile-ttl|noeviction"`
}
