package check

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

var podSecurity = &Check{
	Name: "pod-security",
	Why: "A namespace that enforces a Pod Security level refuses the pods that don't comply; Deployments then have none. " +
		"The level is what the verify configuration says of the cluster (podSecurity), or the label of a Namespace that the chart makes for its pods; with neither, nothing is asked.",
	Remedy: "For «restricted», set runAsNonRoot: true, seccompProfile.type: RuntimeDefault, and in each container allowPrivilegeEscalation: false and capabilities.drop: [ALL]; " +
		"for «baseline», leave out what reaches the host.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			level, said := p.podSecurity(w)
			if level.Level == api.LevelPrivileged {
				continue
			}
			for _, v := range violations(w, level) {
				// Containers that users add are held to what is said of the
				// cluster, not to what the chart says of itself.
				if said || v.container == "" || !p.index.told().containers[v.container] {
					p.Report(w.object, v.field, "violates Pod Security %q: %s", level.Level, v.message)
				}
			}
		}
	},
}

// podSecurity is the level that a workload's namespace enforces, and whether
// it is said of the cluster: else the chart itself labels the namespace.
func (p *Pass) podSecurity(w workload) (level api.LevelVersion, said bool) {
	level = api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()}
	if v, ok := p.target(); ok {
		level.Version = api.MajorMinorVersion(v.major, v.minor)
	}
	if asked := p.Cluster.PodSecurity; asked != "" {
		level.Level = api.Level(asked)
		return level, true
	}
	if ns := p.index.names[[2]string{"Namespace", p.namespace(w.object)}]; ns != nil {
		if made, ok := ns.Typed.(*corev1.Namespace); ok {
			if own, err := api.ParseLevel(made.Labels[api.EnforceLevelLabel]); err == nil {
				level.Level = own
			}
			if own, err := api.ParseVersion(made.Labels[api.EnforceVersionLabel]); err == nil && !own.Latest() {
				level.Version = own
			}
		}
	}
	return level, false
}

// admission holds pods to the levels, as the API server's own plugin does.
var admission = sync.OnceValue(func() policy.Evaluator {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(err) // Kubernetes' own checks
	}
	return evaluator
})

type violation struct{ field, message, container string }

// violations of a level. The plugin names no fields, so it is asked about the
// pod without containers first, then with one at a time.
func violations(w workload, level api.LevelVersion) []violation {
	evaluate := func(containers ...corev1.Container) (refused []policy.CheckResult) {
		pod := w.template.Spec
		pod.Containers, pod.InitContainers = containers, nil
		for _, result := range admission().EvaluatePod(level, &w.template.ObjectMeta, &pod) {
			if !result.Allowed {
				refused = append(refused, result)
			}
		}
		return refused
	}
	var all []violation
	known := map[policy.CheckResult]bool{}
	for _, result := range evaluate() {
		known[result] = true
		all = append(all, violation{podField(w, result.ForbiddenReason), words(result), ""})
	}
	for _, c := range w.containers() {
		for _, result := range evaluate(*c.Container) {
			if !known[result] {
				all = append(all, violation{containerField(c, result.ForbiddenReason), words(result), c.Name})
			}
		}
	}
	return all
}

func words(r policy.CheckResult) string {
	if r.ForbiddenDetail == "" {
		return r.ForbiddenReason
	}
	return r.ForbiddenReason + " (" + r.ForbiddenDetail + ")"
}

// podField is where a pod sets, or fails to set, what it is refused for.
func podField(w workload, reason string) string {
	spec, at := &w.template.Spec, w.spec()
	switch reason {
	case "host namespaces":
		switch {
		case spec.HostNetwork:
			return join(at, "hostNetwork")
		case spec.HostPID:
			return join(at, "hostPID")
		}
		return join(at, "hostIPC")
	case "hostPath volumes", "restricted volume types":
		for i, v := range spec.Volumes {
			s := v.VolumeSource
			if s.HostPath != nil || reason == "restricted volume types" && s.ConfigMap == nil && s.CSI == nil && s.DownwardAPI == nil && s.EmptyDir == nil &&
				s.Ephemeral == nil && s.PersistentVolumeClaim == nil && s.Projected == nil && s.Secret == nil && s.Image == nil {
				return elem(join(at, "volumes"), i)
			}
		}
	}
	return join(at, "securityContext."+setting[reason])
}

func containerField(c container, reason string) string {
	switch reason {
	case "hostPort":
		return join(c.path, "ports")
	case "probe or lifecycle host":
		return c.path
	}
	return join(c.path, "securityContext."+setting[reason])
}

// setting is the field of a security context that a reason is about.
var setting = map[string]string{
	"privileged": "privileged", "allowPrivilegeEscalation != false": "allowPrivilegeEscalation",
	"unrestricted capabilities": "capabilities", "non-default capabilities": "capabilities",
	"runAsNonRoot != true": "runAsNonRoot", "runAsUser=0": "runAsUser", "seccompProfile": "seccompProfile",
	"seLinuxOptions": "seLinuxOptions", "procMount": "procMount", "hostProcess": "windowsOptions", "forbidden sysctls": "sysctls",
	"forbidden AppArmor profile": "appArmorProfile", "forbidden AppArmor profiles": "appArmorProfile",
}
