package values

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Service is what every service has.
type Service struct {
	// Install the service.
	Enabled bool `json:"enabled"`
	// The image it runs.
	Image Image `json:"image"`
	// How many pods; with autoscaling the least.
	Replicas int `json:"replicas" schema:"min=0,max=1000"`
	// CPU and memory of a pod.
	Resources Resources `json:"resources"`
	Pod
}

// Pod is what every pod of a service can be given beside what the chart gives it.
type Pod struct {
	// Labels a node must have, beside those of global.nodeSelector.
	NodeSelector map[string]string `json:"nodeSelector"`
	// Taints the pods put up with, beside those of global.tolerations.
	Tolerations []Toleration `json:"tolerations"`
	// Which nodes and neighbours the pods want. Empty: global.affinity.
	Affinity Affinity `json:"affinity"`
	// How the pods spread. Empty: over the nodes, as a wish.
	TopologySpreadConstraints []map[string]any `json:"topologySpreadConstraints"`
	// Which pods go first where there is no room for all. Empty: global.priorityClassName.
	PriorityClassName string `json:"priorityClassName" schema:"format=name?"`
	// Environment variables by name; one of the chart's own of that name gets this value.
	Env map[string]string `json:"env" schema:"keys=^[A-Za-z_][A-Za-z0-9_]*$"`
	// Environment variables as Kubernetes takes them, for values from Secrets and ConfigMaps; they go before env.
	ExtraEnv []map[string]any `json:"extraEnv"`
	// Secrets and ConfigMaps all of whose keys become environment variables, as in a container's envFrom.
	ExtraEnvFrom []map[string]any `json:"extraEnvFrom"`
	// More volumes of the pods.
	ExtraVolumes []map[string]any `json:"extraVolumes"`
	// Where the container mounts them.
	ExtraVolumeMounts []map[string]any `json:"extraVolumeMounts"`
	// More containers beside the service's own.
	ExtraContainers []map[string]any `json:"extraContainers"`
	// Labels of the pods.
	PodLabels map[string]string `json:"podLabels"`
	// Annotations of the pods.
	PodAnnotations map[string]string `json:"podAnnotations"`
	// Fields of the pods' security context, laid over the chart's. Null takes one away.
	PodSecurityContext map[string]any `json:"podSecurityContext"`
	// The pods' account in the cluster.
	ServiceAccount ServiceAccount `json:"serviceAccount"`
	// The most the pods may keep in /tmp; a pod that keeps more is evicted.
	Scratch Quantity `json:"scratch"`
}

// ServiceAccount is who a pod is in the cluster. Few have a token: SECURITY.md says which, and for what.
type ServiceAccount struct {
	// Annotations of the account, for a cloud's workload identity.
	Annotations map[string]string `json:"annotations"`
}

// ScaledService is a service that can be scaled by load.
type ScaledService struct {
	Service
	// A HorizontalPodAutoscaler.
	Autoscaling Autoscaling `json:"autoscaling"`
}

// Image names a container image.
type Image struct {
	// The registry; global.imageRegistry takes its place.
	Registry string `json:"registry" schema:"minLength=1"`
	// The image's name in the registry.
	Repository string `json:"repository" schema:"minLength=1"`
	// The tag, in quotes if it is a number. Empty: the chart's appVersion.
	Tag string `json:"tag"`
	// The image's digest, `sha256:…`, which pins it whatever the tag says. Empty: global.imageDigests.
	Digest string `json:"digest" schema:"pattern=^(sha256:[0-9a-f]{64})?$"`
	// When the node asks the registry.
	PullPolicy string `json:"pullPolicy" schema:"enum=IfNotPresent|Always|Never"`
}

// Resources are a pod's, as Kubernetes takes them.
type Resources struct {
	// What the scheduler sets aside, by resource: cpu, memory.
	Requests map[string]Quantity `json:"requests,omitempty"`
	// What the pod may take at most, by resource.
	Limits map[string]Quantity `json:"limits,omitempty"`
}

// Autoscaling lets the number of pods follow the load.
type Autoscaling struct {
	// Scale between replicas and maxReplicas.
	Enabled bool `json:"enabled"`
	// The most pods.
	MaxReplicas int `json:"maxReplicas" schema:"min=1,max=1000"`
	// The CPU use to aim at, in percent of the request, where no queue is measured.
	TargetCPUUtilization int `json:"targetCPUUtilization" schema:"min=1,max=1000"`
	// Where metrics.queues measures the queue: how many jobs of it a pod should have to itself.
	TargetQueueLength int `json:"targetQueueLength" schema:"min=1,max=1000"`
	// What to follow instead.
	Metrics []Metric `json:"metrics"`
	// How fast to follow. Empty: up at once, down one pod in two minutes, after ten minutes without need.
	Behavior Behavior `json:"behavior"`
}

// Metric is a MetricSpec of autoscaling/v2.
type Metric struct {
	// Which of the sources it is.
	Type string `json:"type" schema:"enum=Resource|ContainerResource|Pods|Object|External"`
	// A ResourceMetricSource.
	Resource map[string]any `json:"resource,omitempty"`
	// A ContainerResourceMetricSource.
	ContainerResource map[string]any `json:"containerResource,omitempty"`
	// A PodsMetricSource.
	Pods map[string]any `json:"pods,omitempty"`
	// An ObjectMetricSource.
	Object map[string]any `json:"object,omitempty"`
	// An ExternalMetricSource.
	External map[string]any `json:"external,omitempty"`
}

// Behavior is a HorizontalPodAutoscalerBehavior of autoscaling/v2.
type Behavior struct {
	// HPAScalingRules for more pods.
	ScaleUp map[string]any `json:"scaleUp,omitempty"`
	// HPAScalingRules for fewer pods.
	ScaleDown map[string]any `json:"scaleDown,omitempty"`
}

// Affinity is a Kubernetes Affinity.
type Affinity struct {
	// A Kubernetes NodeAffinity.
	NodeAffinity map[string]any `json:"nodeAffinity,omitempty"`
	// A Kubernetes PodAffinity. With global.singleNode the chart's own rule is added to it.
	PodAffinity map[string]any `json:"podAffinity,omitempty"`
	// A Kubernetes PodAntiAffinity.
	PodAntiAffinity map[string]any `json:"podAntiAffinity,omitempty"`
}

// Toleration lets pods run on a tainted node.
type Toleration struct {
	// The taint's key. Empty, with operator Exists: every taint.
	Key string `json:"key,omitempty"`
	// Whether the value must be equal or the key only be there.
	Operator string `json:"operator,omitempty" schema:"enum=Exists|Equal"`
	// The taint's value.
	Value string `json:"value,omitempty"`
	// The taint's effect. Empty: every effect.
	Effect string `json:"effect,omitempty" schema:"enum=NoSchedule|PreferNoSchedule|NoExecute"`
	// With NoExecute: how long a pod stays.
	TolerationSeconds *int64 `json:"tolerationSeconds,omitempty"`
}

// Quantity is an amount as Kubernetes writes it: 500m, 2, 1.5Gi. YAML may give it as a number.
type Quantity string

// UnmarshalJSON takes a string or a number.
func (q *Quantity) UnmarshalJSON(data []byte) error {
	var number json.Number
	if len(data) > 0 && data[0] != '"' {
		if err := json.Unmarshal(data, &number); err != nil {
			return fmt.Errorf("%s is no quantity such as 500m, 2 or 1.5Gi", data)
		}
		*q = Quantity(number)
		return nil
	}
	return json.Unmarshal(data, (*string)(q))
}

// Decode reads values in JSON. A key that no type declares is an error that names it.
func Decode(data []byte) (*Values, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var values Values
	if err := decoder.Decode(&values); err != nil {
		return nil, err
	}
	return &values, nil
}
