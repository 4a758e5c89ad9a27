// Package rehearsed has the rules that package rehearse finds broken: apart from
// it, since package verify, which it imports, lets them be suppressed.
package rehearsed

import (
	"slices"

	"github.com/ai-film/ai-film/charttest/check"
)

// The rules. Their checks have no Run: they are seen, not computed.
var (
	Scheduled = &check.Check{Name: "rehearsal-scheduled",
		Why:    "The scheduler finds no node for a pod: by its requests, selector, tolerations, spread, or since the pools can't grow for it.",
		Remedy: "Do as the message says, or describe the nodes as they are (nodes in .verify.yaml)."}
	Created = &check.Check{Name: "rehearsal-created",
		Why:    "A controller can't make pods: a quota, a limit range, a Pod Security level, or a class or an account that isn't there.",
		Remedy: "Do as the API server says."}
	Starts = &check.Check{Name: "rehearsal-starts",
		Why:    "A kubelet can't start a container whose Secret or ConfigMap isn't there; the pod stays in ContainerCreating or CreateContainerConfigError.",
		Remedy: "Make the object with the chart, mark the reference optional, or declare it (cluster: {external: [Secret/x]})."}
	Bound = &check.Check{Name: "rehearsal-bound",
		Why:    "A claim that no volume is made for keeps its pods pending: its class isn't there, or hasn't the access mode.",
		Remedy: "Take a class that the cluster has, with a mode that it has."}
	Reached = &check.Check{Name: "rehearsal-volume",
		Why:    "A volume is where its pods can't be: disks are of one node or zone, and only one node at a time attaches one that is ReadWriteOnce.",
		Remedy: "Share it by a class with ReadWriteMany, keep its pods on one node (nodeSelector, pod affinity), or give each its own."}
	Devices = &check.Check{Name: "rehearsal-devices",
		Why:    "Devices can't be overcommitted: a request is its limit. Pods without one on a device's node keep it from those who need it, and pay for it.",
		Remedy: "Give the device as a limit, and taint its nodes."}
	Measured = &check.Check{Name: "rehearsal-autoscaler",
		Why:    "A HorizontalPodAutoscaler that can't read its metric, or find what it scales, never scales.",
		Remedy: "Give every container a request of the resource, or name a metric that the cluster serves."}
	Grown = &check.Check{Name: "rehearsal-grow",
		Why:    "Under load the autoscaler asks for pods that the nodes, grown as far as they may, can't hold; or never comes to its maximum.",
		Remedy: "Lower maxReplicas or the requests, or let the pool grow further."}
	Shrunk = &check.Check{Name: "rehearsal-shrink",
		Why:    "What grew never shrinks again, and is paid for.",
		Remedy: "Let the autoscaler scale down (behavior.scaleDown.selectPolicy), and don't keep pods from eviction."}
	Drained = &check.Check{Name: "rehearsal-drain",
		Why:    "kubectl drain, and every upgrade of nodes, waits for ever for a pod that a PodDisruptionBudget doesn't let go.",
		Remedy: "Allow one pod to be away (maxUnavailable: 1), run more replicas than minAvailable, or leave the budget out on one node."}
	Rolled = &check.Check{Name: "rehearsal-rollout",
		Why:    "An update never ends: the new pod waits for what the old one holds, a GPU, a port or a volume.",
		Remedy: "Let the old pod go first: strategy: {type: Recreate}, or rollingUpdate: {maxSurge: 0, maxUnavailable: 1}."}
	Refused = &check.Check{Name: "rehearsal-refused",
		Why:    "Helm can't install, upgrade, roll back or uninstall the release.",
		Remedy: "Do as the message says."}
	Hooked = &check.Check{Name: "rehearsal-hook",
		Why:    "Helm waits for a hook that never ends, and fails with its time-out.",
		Remedy: "Let its pods be scheduled: what they need must be there before the hook, and not be made by the release itself."}
	Kept = &check.Check{Name: "rehearsal-password",
		Why:    "A Secret changes by itself while the volume that was initialised with it stays: the database doesn't open its door any more.",
		Remedy: "Keep the Secret with the claim (helm.sh/resource-policy: keep) and reuse it with lookup, or take an existing Secret."}
	Left = &check.Check{Name: "rehearsal-uninstall",
		Why:    "After an uninstallation something is left that never goes, or that the next installation trips over.",
		Remedy: "Take the finalizer out, or let a hook delete what the release made."}
)

// All are the rules by name.
func All() []*check.Check {
	return []*check.Check{Measured, Bound, Created, Devices, Drained, Grown, Hooked, Kept, Refused, Rolled, Scheduled, Shrunk, Starts, Left, Reached}
}

// Has says whether a name is one of the rules'.
func Has(name string) bool {
	return slices.ContainsFunc(All(), func(c *check.Check) bool { return c.Name == name })
}
