package check

import (
	"path"

	corev1 "k8s.io/api/core/v1"
)

// Cluster is what is known of the place a chart is installed in. The zero
// Cluster knows nothing, and checks that depend on it stay silent.
type Cluster struct {
	// Nodes are the shapes of nodes that there are. One Node with Count 1 is a
	// single-node cluster, where volumes of one node can be shared.
	Nodes []Node `json:"nodes,omitempty"`
	// External names objects that others make: "Secret/tls", "RuntimeClass/nvidia",
	// "StorageClass/*". Patterns are those of path.Match.
	External []string `json:"external,omitempty"`
	// StorageClasses are those whose volumes differ from what their names say
	// (package rehearse knows the usual ones); Kubernetes' own kind knows neither
	// the modes nor where a volume lies.
	StorageClasses []StorageClass `json:"storageClasses,omitempty"`
	// PodSecurity is the level that the namespace enforces: "restricted",
	// "baseline" or "privileged". With "" it is what the chart's own Namespace
	// says in its labels.
	PodSecurity string `json:"podSecurity,omitempty"`
}

// Node is a shape of node.
type Node struct {
	Name        string              `json:"name,omitempty"`
	Count       int                 `json:"count,omitempty"` // 0: any number, as in an autoscaled pool
	Min         int                 `json:"min,omitempty"`   // of an autoscaled pool, for rehearsals; 1 if neither is given
	Max         int                 `json:"max,omitempty"`   // 10 if 0
	Allocatable corev1.ResourceList `json:"allocatable,omitempty"`
	Labels      map[string]string   `json:"labels,omitempty"`
	Taints      []corev1.Taint      `json:"taints,omitempty"`
}

// StorageClass is a class of volumes.
type StorageClass struct {
	Name        string                              `json:"name"`
	Provisioner string                              `json:"provisioner,omitempty"`
	Modes       []corev1.PersistentVolumeAccessMode `json:"modes,omitempty"`    // that it has; all if empty
	Topology    string                              `json:"topology,omitempty"` // whence a volume can be reached: its "node" or "zone"; "" for everywhere
	Default     bool                                `json:"default,omitempty"`
}

// Declares says whether an object is declared to be made by others.
func (c Cluster) Declares(kind, name string) bool {
	for _, pattern := range c.External {
		if ok, _ := path.Match(pattern, kind+"/"+name); ok {
			return true
		}
	}
	return false
}

// singleNode says whether all pods are on one node.
func (c Cluster) singleNode() bool {
	return len(c.Nodes) == 1 && c.Nodes[0].Count == 1
}
