package toolchain

import "time"

// Set is programs that are made together.
type Set struct {
	Name     string
	Module   string            // directory of their Go module in the checkout
	Programs map[string]string // program name → package
	LDFlags  string            // version stamps
	Usual    string            // what a first build takes on two cores
	Patched  bool              // packages below <Module>/_patches take the place of upstream's
	Released bool              // Kubernetes publishes these programs
	Machine  *Machine          // when a program of the machine will do instead
}

// tools is the one module of the cluster's programs. In modules of their own they would agree on no version of what they
// share, and each would compile client-go and gRPC anew.
const tools = "local/tools"

const (
	kubernetesVersion = "1.36.3"
	componentVersion  = "k8s.io/component-base/version"
	versionStamps     = "-X " + componentVersion + ".gitVersion=" + KubernetesVersion +
		" -X " + componentVersion + ".gitMajor=1 -X " + componentVersion + ".gitMinor=36"
)

// KubernetesVersion is the release the control plane and the node are built from, for instance "v1.36.3".
const KubernetesVersion = "v" + kubernetesVersion

// Kubernetes is the control plane and the node's programs. Without the version stamps they would call themselves v0.0.0,
// which clients refuse.
var Kubernetes = Set{
	Name: "kubernetes", Module: tools,
	Programs: map[string]string{
		"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
		"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
		"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
		"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
		"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
	},
	LDFlags: versionStamps, Released: true,
	Usual: "about 5 min the first time",
}

// Kubectl of the machine will do when it is at most one minor older or newer than the API server, as Kubernetes' version
// skew policy says.
var Kubectl = Set{
	Name: "kubectl", Module: tools,
	Programs: map[string]string{"kubectl": "k8s.io/kubernetes/cmd/kubectl"},
	LDFlags:  versionStamps, Released: true,
	Machine: &Machine{Args: []string{"version", "--client"}, Version: `v(1\.(?:35|36|37)\.[0-9]+\S*)`, Wanted: "1.35 to 1.37"},
	Usual:   "about 20 s the first time",
}

// Addons are the rest of what a node needs to run pods: etcd, kwok, which puts the control plane together and simulates
// further nodes, and names for Services.
var Addons = Set{
	Name: "addons", Module: tools,
	Programs: map[string]string{
		"etcd":    "go.etcd.io/etcd/server/v3",
		"kwokctl": "sigs.k8s.io/kwok/cmd/kwokctl",
		"kwok":    "sigs.k8s.io/kwok/cmd/kwok",
		"coredns": "github.com/ai-film/ai-film/local/tools/coredns",
	},
	Usual: "about 1 min the first time",
}

// LocalPath provisions volumes as directories of the node. It is built alone: it imports logrus by a name that differs
// from everybody else's by the case of one letter, which one build may not hold.
var LocalPath = Set{
	Name: "localpath", Module: tools,
	Programs: map[string]string{"local-path-provisioner": "github.com/rancher/local-path-provisioner"},
	Usual:    "about 20 s the first time",
}

// Traefik is the ingress controller. Its modules are taken without the SDKs of clouds, see _patches.
var Traefik = Set{
	Name: "traefik", Module: tools, Patched: true,
	Programs: map[string]string{"traefik": "github.com/traefik/traefik/v3/cmd/traefik"},
	Usual:    "about 2 min the first time",
}

// Metrics serves what autoscalers and `kubectl top` read.
var Metrics = Set{
	Name: "metrics", Module: tools,
	Programs: map[string]string{"metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server"},
	Usual:    "about 20 s the first time",
}

// Helm is the upstream program, of the version whose engine the chart library uses and from the same module, with which it
// shares nearly all packages. The machine's will do if it is a 3.22: Helm supports the Kubernetes minor it was compiled
// against and the three before, for 3.22 that is 1.34 to 1.37, while 3.21 and older end at 1.35; 3.22 is Helm 3's last
// feature release, and Helm 4 is another program.
var Helm = Set{
	Name: "helm", Module: ".",
	Programs: map[string]string{"helm": "helm.sh/helm/v3/cmd/helm"},
	// As its own Makefile does: the Kubernetes it assumes without a cluster is that of its client libraries.
	LDFlags: "-X helm.sh/helm/v3/internal/version.version=v3.22.0 -X helm.sh/helm/v3/internal/version.metadata=" +
		" -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37" +
		" -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=37",
	Machine: &Machine{Args: []string{"version", "--short"}, Version: `v(3\.22\.[0-9]+)`, Wanted: "3.22"},
	Usual:   "about 2 min the first time",
}

// Sets lists them all in the order a cold start needs them.
var Sets = []Set{Kubernetes, Addons, Kubectl, LocalPath, Helm, Traefik, Metrics}

// CLI is the studio's command line. Its sources are the checkout's own, so that only Go can say whether it is up to date.
var CLI = Set{
	Name: "ai-film", Module: ".",
	Programs: map[string]string{"ai-film": "github.com/ai-film/ai-film/cmd/ai-film"},
	Usual:    "about 20 s the first time",
}

// patience is how long the machine's own programs may take to say their version.
const patience = 10 * time.Second
