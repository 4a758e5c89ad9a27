package validation

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var _ = []struct{}{
	rule(func(j *judge, p *corev1.Pod, at *field.Path) {
		j.meta(&p.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	}),
	rule(func(j *judge, t *corev1.PodTemplateSpec, at *field.Path) {
		j.template(&t.ObjectMeta, at.Child("metadata"))
	}),
	rule((*judge).podSpec),
	rule((*judge).container),
	rule((*judge).probe),
	rule(func(j *judge, h *corev1.LifecycleHandler, at *field.Path) {
		j.one(at, h, "handler type", true)
	}),
	rule(func(j *judge, a *corev1.ExecAction, at *field.Path) {
		j.require(len(a.Command) > 0, at.Child("command"), "")
	}),
	rule(func(j *judge, a *corev1.HTTPGetAction, at *field.Path) {
		j.port(at.Child("port"), a.Port)
		for i, h := range a.HTTPHeaders {
			j.invalid(at.Child("httpHeaders").Index(i).Child("name"), h.Name, validation.IsHTTPHeaderName(h.Name)...)
		}
	}),
	rule(func(j *judge, a *corev1.TCPSocketAction, at *field.Path) { j.port(at.Child("port"), a.Port) }),
	rule(func(j *judge, a *corev1.GRPCAction, at *field.Path) { within(j, at.Child("port"), &a.Port, 1, 65535) }),
	rule((*judge).envVar),
	rule(func(j *judge, s *corev1.EnvVarSource, at *field.Path) {
		if n := members(s); n != 1 {
			j.invalid(at, "", oneOf(n, "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
		}
	}),
	rule(func(j *judge, s *corev1.EnvFromSource, at *field.Path) {
		if n := members(s); n != 1 {
			j.invalid(at, "", oneOf(n, "`configMapRef` or `secretRef`"))
		}
		if s.Prefix != "" {
			j.invalid(at.Child("prefix"), s.Prefix, j.envName(s.Prefix)...)
		}
		if r := s.ConfigMapRef; r != nil {
			j.named(at.Child("configMapRef", "name"), r.Name, subdomain)
		}
		if r := s.SecretRef; r != nil {
			j.named(at.Child("secretRef", "name"), r.Name, subdomain)
		}
	}),
	rule(func(j *judge, s *corev1.SecretKeySelector, at *field.Path) { j.keyRef(at, s.Name, s.Key) }),
	rule(func(j *judge, s *corev1.ConfigMapKeySelector, at *field.Path) { j.keyRef(at, s.Name, s.Key) }),
	rule(func(j *judge, s *corev1.FileKeySelector, at *field.Path) {
		j.require(s.Key != "", at.Child("key"), "")
		if j.require(s.Path != "", at.Child("path"), "") {
			j.noBack(at.Child("path"), s.Path)
		}
	}),
	rule((*judge).containerPort),
	rule(func(j *judge, p *corev1.ContainerResizePolicy, at *field.Path) {
		j.require(p.ResourceName != "", at.Child("resourceName"), "")
		if p.ResourceName != "" {
			j.among(at.Child("resourceName"), string(p.ResourceName), "cpu", "memory")
		}
		j.require(p.RestartPolicy != "", at.Child("restartPolicy"), "")
	}),
	rule((*judge).securityContext),
	rule((*judge).podSecurityContext),
	rule(func(j *judge, p *corev1.SeccompProfile, at *field.Path) {
		j.require(p.Type != "", at.Child("type"), "type is required when seccompProfile is set")
		j.localhost(at.Child("localhostProfile"), p.Type == corev1.SeccompProfileTypeLocalhost, p.LocalhostProfile, "seccomp")
	}),
	rule(func(j *judge, p *corev1.AppArmorProfile, at *field.Path) {
		j.require(p.Type != "", at.Child("type"), "type is required when appArmorProfile is set")
		local := p.Type == corev1.AppArmorProfileTypeLocalhost
		switch name := p.LocalhostProfile; {
		case local && (name == nil || strings.TrimSpace(*name) == ""):
			j.require(false, at.Child("localhostProfile"), "must be set when AppArmor type is Localhost")
		case local && *name != strings.TrimSpace(*name):
			j.invalid(at.Child("localhostProfile"), *name, "must not be padded with whitespace")
		case local && len(*name) > 4095:
			j.say(field.TooLong(at.Child("localhostProfile"), *name, 4095))
		case !local && name != nil && p.Type != "":
			j.invalid(at.Child("localhostProfile"), *name, "can only be set when AppArmor type is Localhost")
		}
	}),
	rule((*judge).windows),
	rule((*judge).toleration),
	rule((*judge).spread),
	rule(func(j *judge, s *corev1.NodeSelector, at *field.Path) {
		j.require(len(s.NodeSelectorTerms) > 0, at.Child("nodeSelectorTerms"), "must have at least one node selector term")
	}),
	rule((*judge).nodeSelectorTerm),
	rule(func(j *judge, t *corev1.PreferredSchedulingTerm, at *field.Path) {
		within(j, at.Child("weight"), &t.Weight, 1, 100)
	}),
	rule(func(j *judge, t *corev1.WeightedPodAffinityTerm, at *field.Path) {
		within(j, at.Child("weight"), &t.Weight, 1, 100)
	}),
	rule((*judge).affinityTerm),
	rule(func(j *judge, a *corev1.HostAlias, at *field.Path) {
		j.ip(at.Child("ip"), a.IP)
		for i, h := range a.Hostnames {
			j.invalid(at.Child("hostnames").Index(i), h, subdomain(h)...)
		}
	}),
	rule(func(j *judge, g *corev1.PodReadinessGate, at *field.Path) {
		j.invalid(at.Child("conditionType"), g.ConditionType, qualified(string(g.ConditionType))...)
	}),
	rule(func(j *judge, g *corev1.PodSchedulingGate, at *field.Path) {
		j.invalid(at.Child("name"), g.Name, qualified(g.Name)...)
	}),
	rule(func(j *judge, c *corev1.PodResourceClaim, at *field.Path) {
		j.named(at.Child("name"), c.Name, label)
		switch {
		case c.ResourceClaimName != nil && c.ResourceClaimTemplateName != nil:
			j.invalid(at, c.Name, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
		case c.ResourceClaimName == nil && c.ResourceClaimTemplateName == nil:
			j.invalid(at, c.Name, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
		}
		for name, v := range map[string]*string{"resourceClaimName": c.ResourceClaimName, "resourceClaimTemplateName": c.ResourceClaimTemplateName} {
			if v != nil {
				j.invalid(at.Child(name), *v, subdomain(*v)...)
			}
		}
	}),
	rule(func(j *judge, o *corev1.PodOS, at *field.Path) { j.require(o.Name != "", at.Child("name"), "") }),
}

func members(s any) int {
	j := new(judge)
	return len(j.one(nil, s, "", false))
}

func oneOf(n int, names string) string {
	if n == 0 {
		return "must specify one of: " + names
	}
	return "may not have more than one field specified at a time"
}

func (j *judge) keyRef(at *field.Path, name, key string) {
	j.invalid(at.Child("name"), name, subdomain(name)...)
	if j.require(key != "", at.Child("key"), "") {
		j.invalid(at.Child("key"), key, validation.IsConfigMapKey(key)...)
	}
}

func (j *judge) envName(name string) []string { return validation.IsRelaxedEnvVarName(name) }

func (j *judge) podSpec(s *corev1.PodSpec, at *field.Path) {
	j.require(len(s.Containers) > 0, at.Child("containers"), "")
	volumes := j.volumes(s.Volumes, at.Child("volumes"))
	names := sets.Set[string]{}
	claims := sets.Set[string]{}
	for i, c := range s.ResourceClaims {
		if claims.Has(c.Name) {
			j.say(field.Duplicate(at.Child("resourceClaims").Index(i).Child("name"), c.Name))
		}
		claims.Insert(c.Name)
	}
	ports := map[string]bool{}
	for i := range s.Containers {
		j.inPod(&s.Containers[i], s, names, volumes, claims, at.Child("containers").Index(i), false)
		j.hostPorts(&s.Containers[i], s, ports, at.Child("containers").Index(i))
	}
	for i := range s.InitContainers {
		j.inPod(&s.InitContainers[i], s, names, volumes, claims, at.Child("initContainers").Index(i), true)
		j.hostPorts(&s.InitContainers[i], s, map[string]bool{}, at.Child("initContainers").Index(i))
	}
	j.forbid(len(s.EphemeralContainers) > 0, at.Child("ephemeralContainers"), "cannot be set on create")
	within(j, at.Child("activeDeadlineSeconds"), s.ActiveDeadlineSeconds, 1, 1<<31-1)
	j.labels(at.Child("nodeSelector"), s.NodeSelector)
	for _, f := range []struct {
		name, text string
		form       func(string) []string
	}{
		{"serviceAccountName", s.ServiceAccountName, subdomain}, {"serviceAccount", s.DeprecatedServiceAccount, subdomain}, {"nodeName", s.NodeName, subdomain}, {"hostname", s.Hostname, label},
		{"subdomain", s.Subdomain, label}, {"priorityClassName", s.PriorityClassName, subdomain},
	} {
		j.form(at.Child(f.name), f.text, f.form)
	}
	if s.RuntimeClassName != nil {
		j.invalid(at.Child("runtimeClassName"), *s.RuntimeClassName, subdomain(*s.RuntimeClassName)...)
	}
	if s.HostnameOverride != nil {
		j.invalid(at.Child("hostnameOverride"), *s.HostnameOverride, subdomain(*s.HostnameOverride)...)
		if len(*s.HostnameOverride) > 64 {
			j.say(field.TooLong(at.Child("hostnameOverride"), *s.HostnameOverride, 64))
		}
		j.forbid(s.HostNetwork, at.Child("hostnameOverride"), "can not be set when hostNetwork is true")
		j.forbid(s.SetHostnameAsFQDN != nil && *s.SetHostnameAsFQDN, at.Child("hostnameOverride"), "cannot be set when setHostnameAsFQDN is true")
	}
	j.dns(s, at)
	j.resourceList(at.Child("overhead"), s.Overhead, nil, at.Child("overhead"))
	if s.Resources != nil {
		j.forbid(s.Resources.Claims != nil, at.Child("resources", "claims"), "claims may not be set for Resources at pod-level")
		j.resources(at.Child("resources"), s.Resources, claims, j.podResource)
	}
	gates := sets.Set[string]{}
	for i, g := range s.SchedulingGates {
		if gates.Has(g.Name) {
			j.say(field.Duplicate(at.Child("schedulingGates").Index(i), g.Name))
		}
		gates.Insert(g.Name)
	}
	for i, c := range s.TopologySpreadConstraints {
		for k := range i {
			if other := s.TopologySpreadConstraints[k]; other.TopologyKey == c.TopologyKey && other.WhenUnsatisfiable == c.WhenUnsatisfiable {
				j.say(field.Duplicate(at.Child("topologySpreadConstraints").Index(i), fmt.Sprintf("{%v, %v}", c.TopologyKey, c.WhenUnsatisfiable)))
				break
			}
		}
	}
	j.users(s, at)
}

// hostPorts may be taken once in a pod, and are the containers' own ports in
// the host's network.
func (j *judge) hostPorts(c *corev1.Container, s *corev1.PodSpec, taken map[string]bool, at *field.Path) {
	for i, p := range c.Ports {
		if s.HostNetwork && p.HostPort != 0 && p.HostPort != p.ContainerPort {
			j.invalid(at.Child("ports").Index(i).Child("hostPort"), p.HostPort, "must match `containerPort` when `hostNetwork` is true")
		}
		if p.HostPort == 0 && !s.HostNetwork {
			continue
		}
		host := p.HostPort
		if host == 0 {
			host = p.ContainerPort
		}
		key := fmt.Sprintf("%s/%s/%d", cmpOr(string(p.Protocol), "TCP"), p.HostIP, host)
		if host != 0 && taken[key] {
			j.say(field.Duplicate(at.Child("ports").Index(i).Child("hostPort"), key))
		}
		taken[key] = true
	}
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// users holds pods to what goes with user namespaces, processes of the host on
// Windows, and the system that the pod says it is for.
func (j *judge) users(s *corev1.PodSpec, at *field.Path) {
	sc := s.SecurityContext
	if s.HostUsers != nil && !*s.HostUsers && j.minor < 37 { // an alpha feature, off, up to 1.36
		j.forbid(s.HostNetwork, at.Child("hostNetwork"), "when `hostUsers` is false")
	}
	if s.HostUsers != nil && !*s.HostUsers {
		j.forbid(s.HostPID, at.Child("hostPID"), "when `hostUsers` is false")
		j.forbid(s.HostIPC, at.Child("hostIPC"), "when `hostUsers` is false")
	}
	if s.HostPID && s.ShareProcessNamespace != nil && *s.ShareProcessNamespace {
		j.invalid(at.Child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled")
	}
	process := func(w *corev1.WindowsSecurityContextOptions) *bool {
		if w == nil {
			return nil
		}
		return w.HostProcess
	}
	var whole *bool
	if sc != nil {
		whole = process(sc.WindowsOptions)
	}
	some, all := false, true
	each := func(c *corev1.Container) {
		is := whole != nil && *whole
		if c.SecurityContext != nil {
			if p := process(c.SecurityContext.WindowsOptions); p != nil {
				is = *p
			}
		}
		some, all = some || is, all && is
	}
	for i := range s.InitContainers {
		each(&s.InitContainers[i])
	}
	for i := range s.Containers {
		each(&s.Containers[i])
	}
	if some && !all {
		j.invalid(at, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers")
	}
	if some && !s.HostNetwork {
		j.invalid(at.Child("hostNetwork"), false, "hostNetwork must be true if pod contains any hostProcess containers")
	}
	if s.OS == nil {
		return
	}
	linux := s.OS.Name == corev1.Linux
	windows := s.OS.Name == corev1.Windows
	if sc != nil {
		j.forbid(linux && sc.WindowsOptions != nil, at.Child("securityContext", "windowsOptions"), "windows options cannot be set for a linux pod")
	}
	for list, containers := range map[string][]corev1.Container{"containers": s.Containers, "initContainers": s.InitContainers} {
		for i, c := range containers {
			if c.SecurityContext == nil {
				continue
			}
			here := at.Child(list).Index(i).Child("securityContext")
			j.forbid(linux && c.SecurityContext.WindowsOptions != nil, here.Child("windowsOptions"), "windows options cannot be set for a linux pod")
			if windows {
				x := c.SecurityContext
				for name, set := range map[string]bool{"appArmorProfile": x.AppArmorProfile != nil, "seLinuxOptions": x.SELinuxOptions != nil, "seccompProfile": x.SeccompProfile != nil,
					"capabilities": x.Capabilities != nil, "readOnlyRootFilesystem": x.ReadOnlyRootFilesystem != nil, "privileged": x.Privileged != nil,
					"allowPrivilegeEscalation": x.AllowPrivilegeEscalation != nil, "procMount": x.ProcMount != nil, "runAsUser": x.RunAsUser != nil, "runAsGroup": x.RunAsGroup != nil} {
					j.forbid(set, here.Child(name), "cannot be set for a windows pod")
				}
			}
		}
	}
	if windows {
		j.forbid(s.HostPID, at.Child("hostPID"), "cannot be set for a windows pod")
		j.forbid(s.HostIPC, at.Child("hostIPC"), "cannot be set for a windows pod")
		j.forbid(s.HostUsers != nil, at.Child("hostUsers"), "cannot be set for a windows pod")
		j.forbid(s.Resources != nil, at.Child("resources"), "may not be set for a windows pod")
		j.forbid(s.ShareProcessNamespace != nil, at.Child("shareProcessNamespace"), "cannot be set for a windows pod")
		if sc != nil {
			here := at.Child("securityContext")
			for name, set := range map[string]bool{"appArmorProfile": sc.AppArmorProfile != nil, "seLinuxOptions": sc.SELinuxOptions != nil, "seccompProfile": sc.SeccompProfile != nil,
				"fsGroup": sc.FSGroup != nil, "fsGroupChangePolicy": sc.FSGroupChangePolicy != nil, "sysctls": len(sc.Sysctls) > 0,
				"runAsUser": sc.RunAsUser != nil, "runAsGroup": sc.RunAsGroup != nil, "supplementalGroups": sc.SupplementalGroups != nil,
				"supplementalGroupsPolicy": sc.SupplementalGroupsPolicy != nil, "seLinuxChangePolicy": sc.SELinuxChangePolicy != nil} {
				j.forbid(set, here.Child(name), "cannot be set for a windows pod")
			}
		}
	}
}

func (j *judge) dns(s *corev1.PodSpec, at *field.Path) {
	c := s.DNSConfig
	if s.DNSPolicy == corev1.DNSNone {
		if c == nil || len(c.Nameservers) == 0 {
			j.require(false, at.Child("dnsConfig", "nameservers"), fmt.Sprintf("must provide at least one DNS nameserver when `dnsPolicy` is %s", corev1.DNSNone))
		}
	}
	if c == nil {
		return
	}
	at = at.Child("dnsConfig")
	if len(c.Nameservers) > 3 {
		j.invalid(at.Child("nameservers"), c.Nameservers, "must not have more than 3 nameservers")
	}
	for i, ip := range c.Nameservers {
		j.ip(at.Child("nameservers").Index(i), ip)
	}
	if len(c.Searches) > 32 || len(strings.Join(c.Searches, " ")) > 2048 {
		j.invalid(at.Child("searches"), c.Searches, "must not have more than 32 search paths, of 2048 characters in all")
	}
	for i, s := range c.Searches {
		if s != "." {
			s = strings.TrimSuffix(s, ".")
			problems := validation.IsDNS1123SubdomainWithUnderscore(s)
			j.invalid(at.Child("searches").Index(i), s, problems...)
		}
	}
	for i, o := range c.Options {
		j.require(o.Name != "", at.Child("options").Index(i), "must not be empty")
	}
}

// inPod are the rules of a container that its pod makes.
func (j *judge) inPod(c *corev1.Container, s *corev1.PodSpec, names sets.Set[string], volumes map[string]*corev1.Volume, claims sets.Set[string], at *field.Path, init bool) {
	if names.Has(c.Name) && c.Name != "" {
		j.say(field.Duplicate(at.Child("name"), c.Name))
	}
	names.Insert(c.Name)
	sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	if init && !sidecar {
		const only = "may not be set for init containers without restartPolicy=Always"
		j.forbid(c.Lifecycle != nil, at.Child("lifecycle"), only)
		j.forbid(c.LivenessProbe != nil, at.Child("livenessProbe"), only)
		j.forbid(c.ReadinessProbe != nil, at.Child("readinessProbe"), only)
		j.forbid(c.StartupProbe != nil, at.Child("startupProbe"), only)
	}
	for i, p := range c.ResizePolicy {
		if init && !sidecar && p.RestartPolicy == corev1.RestartContainer {
			j.invalid(at.Child("resizePolicy").Index(i).Child("restartPolicy"), p.RestartPolicy, "must not be set to 'RestartContainer' for non-sidecar initContainers")
		}
	}
	j.resources(at.Child("resources"), &c.Resources, claims, j.containerResource)
	paths, devices, deviceNames := sets.Set[string]{}, sets.Set[string]{}, sets.Set[string]{}
	for i, d := range c.VolumeDevices {
		here := at.Child("volumeDevices").Index(i)
		j.require(d.Name != "", here.Child("name"), "")
		if deviceNames.Has(d.Name) {
			j.invalid(here.Child("name"), d.Name, "must be unique")
		}
		j.require(d.DevicePath != "", here.Child("devicePath"), "")
		if devices.Has(d.DevicePath) {
			j.invalid(here.Child("devicePath"), d.DevicePath, "must be unique")
		}
		j.noBack(here.Child("devicePath"), d.DevicePath)
		if v := volumes[d.Name]; v != nil && v.PersistentVolumeClaim == nil && v.Ephemeral == nil {
			j.invalid(here.Child("name"), d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")
		}
		j.mounted(here, d.Name, volumes)
		devices.Insert(d.DevicePath)
		deviceNames.Insert(d.Name)
	}
	for i, m := range c.VolumeMounts {
		here := at.Child("volumeMounts").Index(i)
		j.mounted(here, m.Name, volumes)
		j.require(m.MountPath != "", here.Child("mountPath"), "")
		if m.MountPath != "" && paths.Has(m.MountPath) {
			j.invalid(here.Child("mountPath"), m.MountPath, "must be unique")
		}
		paths.Insert(m.MountPath)
		if deviceNames.Has(m.Name) {
			j.invalid(here.Child("name"), m.Name, "must not already exist in volumeDevices")
		}
		if devices.Has(m.MountPath) {
			j.invalid(here.Child("mountPath"), m.MountPath, "must not already exist as a path in volumeDevices")
		}
		j.descending(here.Child("subPath"), m.SubPath)
		if m.SubPath != "" && m.SubPathExpr != "" {
			j.invalid(here.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive")
		}
		j.descending(here.Child("subPathExpr"), m.SubPathExpr)
		if v := volumes[m.Name]; v != nil && v.Image != nil && m.SubPathExpr != "" {
			j.invalid(here.Child("subPathExpr"), m.SubPathExpr, "may not be used with image volumes")
		}
		if m.MountPropagation != nil && *m.MountPropagation == corev1.MountPropagationBidirectional &&
			!(c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged) {
			j.forbid(true, here.Child("mountPropagation"), "Bidirectional mount propagation is available only to privileged containers")
		}
		if m.RecursiveReadOnly != nil && *m.RecursiveReadOnly != corev1.RecursiveReadOnlyDisabled {
			j.forbid(!m.ReadOnly, here.Child("recursiveReadOnly"), "may only be specified when readOnly is true")
			j.forbid(m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone, here.Child("recursiveReadOnly"), "may only be specified when mountPropagation is None or not specified")
		}
	}
	for i, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.FileKeyRef != nil {
			name := e.ValueFrom.FileKeyRef.VolumeName
			here := at.Child("env").Index(i).Child("valueFrom", "fileKeyRef", "volumeName")
			if v := volumes[name]; v == nil {
				j.say(field.NotFound(here, name))
			} else if v.EmptyDir == nil {
				j.invalid(here, name, "referenced volume must be of type emptyDir")
			}
		}
	}
	if sc := c.SecurityContext; sc != nil && sc.ProcMount != nil && *sc.ProcMount == corev1.UnmaskedProcMount && (s.HostUsers == nil || *s.HostUsers) {
		j.invalid(at.Child("securityContext", "procMount"), *sc.ProcMount, "`hostUsers` must be false to use `Unmasked`")
	}
	if l := c.Lifecycle; l != nil {
		grace := int64(30)
		if s.TerminationGracePeriodSeconds != nil {
			grace = *s.TerminationGracePeriodSeconds
		}
		for name, h := range map[string]*corev1.LifecycleHandler{"postStart": l.PostStart, "preStop": l.PreStop} {
			if h != nil && h.Sleep != nil && (h.Sleep.Seconds < 0 || h.Sleep.Seconds > grace) {
				j.invalid(at.Child("lifecycle", name, "sleep"), h.Sleep.Seconds, fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", grace))
			}
		}
	}
}

func (j *judge) mounted(at *field.Path, name string, volumes map[string]*corev1.Volume) {
	if name == "" {
		j.require(false, at.Child("name"), "")
	} else if _, ok := volumes[name]; !ok && j.claims == nil {
		j.say(field.NotFound(at.Child("name"), name))
	} else if !ok && !j.claims.Has(name) {
		j.say(field.NotFound(at.Child("name"), name))
	}
}

func (j *judge) container(c *corev1.Container, at *field.Path) {
	j.named(at.Child("name"), c.Name, label)
	if strings.TrimSpace(c.Image) == "" {
		j.require(false, at.Child("image"), "")
	} else if c.Image != strings.TrimSpace(c.Image) {
		j.invalid(at.Child("image"), c.Image, "must not have leading or trailing whitespace")
	}
	ports := sets.Set[string]{}
	for i, p := range c.Ports {
		if p.Name != "" && ports.Has(p.Name) {
			j.say(field.Duplicate(at.Child("ports").Index(i).Child("name"), p.Name))
		}
		ports.Insert(p.Name)
	}
	probes := map[string]*corev1.Probe{"livenessProbe": c.LivenessProbe, "startupProbe": c.StartupProbe}
	for _, name := range slices.Sorted(maps.Keys(probes)) {
		if p := probes[name]; p != nil && p.SuccessThreshold != 0 && p.SuccessThreshold != 1 {
			j.invalid(at.Child(name, "successThreshold"), p.SuccessThreshold, "must be 1")
		}
	}
	if p := c.ReadinessProbe; p != nil && p.TerminationGracePeriodSeconds != nil {
		j.invalid(at.Child("readinessProbe", "terminationGracePeriodSeconds"), *p.TerminationGracePeriodSeconds, "must not be set for readinessProbes")
	}
	if len(c.RestartPolicyRules) > 0 {
		j.require(c.RestartPolicy != nil, at.Child("restartPolicy"), "must specify restartPolicy when restart rules are used")
		if len(c.RestartPolicyRules) > 20 {
			j.say(field.TooLong(at.Child("restartPolicyRules"), c.RestartPolicyRules, 20))
		}
	}
	for i, r := range c.RestartPolicyRules {
		here := at.Child("restartPolicyRules").Index(i)
		if r.Action == "" {
			j.say(field.NotSupported(here.Child("action"), r.Action, enumOf(r.Action)))
		}
		if j.require(r.ExitCodes != nil, here.Child("exitCodes"), "must be specified") {
			if r.ExitCodes.Operator == "" {
				j.say(field.NotSupported(here.Child("exitCodes", "operator"), r.ExitCodes.Operator, enumOf(r.ExitCodes.Operator)))
			}
			if len(r.ExitCodes.Values) > 255 {
				j.say(field.TooLong(here.Child("exitCodes", "values"), r.ExitCodes.Values, 255))
			}
		}
	}
	resized := sets.Set[string]{}
	for i, p := range c.ResizePolicy {
		if resized.Has(string(p.ResourceName)) {
			j.say(field.Duplicate(at.Child("resizePolicy").Index(i), p.ResourceName))
		}
		resized.Insert(string(p.ResourceName))
	}
}

func (j *judge) probe(p *corev1.Probe, at *field.Path) {
	j.one(at, &p.ProbeHandler, "handler type", true)
	least(j, at.Child("initialDelaySeconds"), &p.InitialDelaySeconds, 0)
	least(j, at.Child("timeoutSeconds"), &p.TimeoutSeconds, 0)
	least(j, at.Child("periodSeconds"), &p.PeriodSeconds, 0)
	least(j, at.Child("successThreshold"), &p.SuccessThreshold, 0)
	least(j, at.Child("failureThreshold"), &p.FailureThreshold, 0)
	least(j, at.Child("terminationGracePeriodSeconds"), p.TerminationGracePeriodSeconds, 1)
}

// fields that the downward API offers, of a pod and for variables.
var downward = sets.New("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
	"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")

var subscript = regexp.MustCompile(`^(metadata\.(?:labels|annotations))\['(.*)'\]$`)

func (j *judge) fieldRef(at *field.Path, r *corev1.ObjectFieldSelector, allowed sets.Set[string]) {
	if !j.require(r.FieldPath != "", at.Child("fieldPath"), "") {
		return
	}
	if v := r.APIVersion; v != "" && v != "v1" {
		j.invalid(at.Child("fieldPath"), r.FieldPath, "unsupported pod version: "+v)
		return
	}
	if m := subscript.FindStringSubmatch(r.FieldPath); m != nil {
		if m[1] == "metadata.annotations" {
			j.invalid(at, m[2], qualified(strings.ToLower(m[2]))...)
		} else {
			j.invalid(at, m[2], qualified(m[2])...)
		}
		return
	}
	switch {
	case allowed.Has(r.FieldPath):
	case downward.Has(r.FieldPath) || strings.HasPrefix(r.FieldPath, "metadata.") || r.FieldPath == "status.phase" || r.FieldPath == "spec.restartPolicy" || r.FieldPath == "spec.schedulerName":
		j.say(field.NotSupported(at.Child("fieldPath"), r.FieldPath, sets.List(allowed)))
	default:
		j.invalid(at.Child("fieldPath"), r.FieldPath, "error converting fieldPath: field label not supported: "+r.FieldPath)
	}
}

var resourceFields = []string{"limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"}

func (j *judge) resourceRef(at *field.Path, r *corev1.ResourceFieldSelector, volume bool) {
	if volume && !j.require(r.ContainerName != "", at.Child("containerName"), "") || !j.require(r.Resource != "", at.Child("resource"), "") {
		return
	}
	_, name, _ := strings.Cut(r.Resource, ".")
	if !slices.Contains(resourceFields, r.Resource) && !isHuge(name) {
		j.say(field.NotSupported(at.Child("resource"), r.Resource, resourceFields))
		return
	}
	divisors := map[string][]string{"cpu": {"1m", "1"}}
	allowed, ok := divisors[name]
	if !ok {
		allowed = []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
	}
	d := r.Divisor
	if !d.IsZero() && !slices.ContainsFunc(allowed, func(s string) bool { q := resource.MustParse(s); return q.Cmp(d) == 0 && q.String() == d.String() }) {
		j.invalid(at.Child("divisor"), d.String(), "only divisor's values "+strings.Join(allowed, ", ")+" are supported")
	}
}

func (j *judge) envVar(e *corev1.EnvVar, at *field.Path) {
	if j.require(e.Name != "", at.Child("name"), "") {
		j.invalid(at.Child("name"), e.Name, j.envName(e.Name)...)
	}
	s := e.ValueFrom
	if s == nil {
		return
	}
	if e.Value != "" {
		j.invalid(at.Child("valueFrom"), "", "may not be specified when `value` is not empty")
	}
	if s.FieldRef != nil {
		j.fieldRef(at.Child("valueFrom", "fieldRef"), s.FieldRef, downward)
	}
	if s.ResourceFieldRef != nil {
		j.resourceRef(at.Child("valueFrom", "resourceFieldRef"), s.ResourceFieldRef, false)
	}
}

func (j *judge) containerPort(p *corev1.ContainerPort, at *field.Path) {
	if p.Name != "" {
		j.invalid(at.Child("name"), p.Name, validation.IsValidPortName(p.Name)...)
	}
	if p.ContainerPort == 0 {
		j.require(false, at.Child("containerPort"), "")
	} else {
		within(j, at.Child("containerPort"), &p.ContainerPort, 1, 65535)
	}
	if p.HostPort != 0 {
		within(j, at.Child("hostPort"), &p.HostPort, 1, 65535)
	}
}

func (j *judge) localhost(at *field.Path, local bool, profile *string, what string) {
	switch {
	case local && (profile == nil || *profile == ""):
		j.require(false, at, "must be set when "+what+" type is Localhost")
	case local:
		j.descending(at, *profile)
	case profile != nil:
		j.invalid(at, *profile, "can only be set when "+what+" type is Localhost")
	}
}

func (j *judge) securityContext(s *corev1.SecurityContext, at *field.Path) {
	within(j, at.Child("runAsUser"), s.RunAsUser, 0, 1<<31-1)
	within(j, at.Child("runAsGroup"), s.RunAsGroup, 0, 1<<31-1)
	if s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation {
		if s.Privileged != nil && *s.Privileged {
			j.invalid(at, "", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
		}
		if c := s.Capabilities; c != nil && slices.Contains(c.Add, "CAP_SYS_ADMIN") {
			j.invalid(at, "", "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
		}
	}
}

var sysctl = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)

func (j *judge) podSecurityContext(s *corev1.PodSecurityContext, at *field.Path) {
	within(j, at.Child("runAsUser"), s.RunAsUser, 0, 1<<31-1)
	within(j, at.Child("runAsGroup"), s.RunAsGroup, 0, 1<<31-1)
	within(j, at.Child("fsGroup"), s.FSGroup, 0, 1<<31-1)
	for i := range s.SupplementalGroups {
		within(j, at.Child("supplementalGroups").Index(i), &s.SupplementalGroups[i], 0, 1<<31-1)
	}
	if p := s.SELinuxChangePolicy; p != nil && *p == corev1.SELinuxChangePolicyMountOption && j.minor < 37 {
		j.say(field.NotSupported(at.Child("seLinuxChangePolicy"), *p, []string{"Recursive"}))
	}
	seen := sets.Set[string]{}
	for i, c := range s.Sysctls {
		here := at.Child("sysctls").Index(i).Child("name")
		switch {
		case c.Name == "":
			j.require(false, here, "")
		case len(c.Name) > 253 || !sysctl.MatchString(c.Name):
			j.invalid(here, c.Name, "must have at most 253 characters, in dotted or slashed lower-case segments")
		case seen.Has(c.Name):
			j.say(field.Duplicate(here, c.Name))
		}
		seen.Insert(c.Name)
	}
}

func (j *judge) windows(w *corev1.WindowsSecurityContextOptions, at *field.Path) {
	if n := w.GMSACredentialSpecName; n != nil {
		j.invalid(at.Child("gmsaCredentialSpecName"), *n, subdomain(*n)...)
	}
	if s := w.GMSACredentialSpec; s != nil {
		if len(*s) == 0 {
			j.invalid(at.Child("gmsaCredentialSpec"), *s, "gmsaCredentialSpec cannot be an empty string")
		} else if len(*s) > 64*1024 {
			j.invalid(at.Child("gmsaCredentialSpec"), "", "gmsaCredentialSpec size must be under 65536 bytes")
		}
	}
	u := w.RunAsUserName
	if u == nil {
		return
	}
	at = at.Child("runAsUserName")
	domain, user, both := strings.Cut(*u, `\`)
	if !both {
		domain, user = "", *u
	}
	switch {
	case *u == "":
		j.invalid(at, *u, "runAsUserName cannot be an empty string")
	case strings.ContainsFunc(*u, func(r rune) bool { return r < ' ' || r == 0x7f }):
		j.invalid(at, *u, "runAsUserName cannot contain control characters")
	case both && domain == "":
		j.invalid(at, *u, "runAsUserName's Domain doesn't match the NetBIOS nor the DNS format")
	case user == "":
		j.invalid(at, *u, "runAsUserName's User cannot be empty")
	case len(user) > 104:
		j.invalid(at, *u, "runAsUserName's User length must not be longer than 104 characters")
	case strings.Trim(user, " .") == "":
		j.invalid(at, *u, "runAsUserName's User cannot contain only periods or spaces")
	case strings.ContainsAny(user, `"/\:;|=,+*?<>@[]`):
		j.invalid(at, *u, `runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]`)
	}
}

func (j *judge) toleration(t *corev1.Toleration, at *field.Path) {
	if t.Key != "" {
		j.invalid(at.Child("key"), t.Key, qualified(t.Key)...)
	} else if t.Operator != corev1.TolerationOpExists {
		j.invalid(at.Child("operator"), t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		j.invalid(at.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
	}
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		j.invalid(at.Child("value"), t.Value, validation.IsValidLabelValue(t.Value)...)
	case corev1.TolerationOpExists:
		if t.Value != "" {
			j.invalid(at.Child("operator"), t.Value, "value must be empty when `operator` is 'Exists'")
		}
	}
}

func (j *judge) spread(c *corev1.TopologySpreadConstraint, at *field.Path) {
	if c.MaxSkew <= 0 {
		j.invalid(at.Child("maxSkew"), c.MaxSkew, "must be greater than zero")
	}
	j.require(c.TopologyKey != "", at.Child("topologyKey"), "can not be empty")
	if c.WhenUnsatisfiable == "" {
		j.say(field.NotSupported(at.Child("whenUnsatisfiable"), c.WhenUnsatisfiable, enumOf(c.WhenUnsatisfiable)))
	}
	if c.MinDomains != nil {
		if *c.MinDomains <= 0 {
			j.invalid(at.Child("minDomains"), *c.MinDomains, "must be greater than zero")
		}
		if c.WhenUnsatisfiable != corev1.DoNotSchedule {
			j.invalid(at.Child("minDomains"), *c.MinDomains, "can only use minDomains if whenUnsatisfiable=DoNotSchedule")
		}
	}
	j.selector(at.Child("labelSelector"), c.LabelSelector)
	j.labelKeys(at.Child("matchLabelKeys"), c.MatchLabelKeys, c.LabelSelector, false)
}

func (j *judge) labelKeys(at *field.Path, keys []string, s *metav1.LabelSelector, twice bool) {
	if len(keys) == 0 {
		return
	}
	if s == nil {
		j.forbid(true, at, "must not be specified when labelSelector is not set")
	}
	for i, k := range keys {
		j.invalid(at.Index(i), k, qualified(k)...)
		if s == nil {
			continue
		}
		_, is := s.MatchLabels[k]
		is = is || slices.ContainsFunc(s.MatchExpressions, func(e metav1.LabelSelectorRequirement) bool { return e.Key == k })
		if is && !twice {
			j.invalid(at.Index(i), k, "exists in both matchLabelKeys and labelSelector")
		}
	}
}

func (j *judge) nodeSelectorTerm(t *corev1.NodeSelectorTerm, at *field.Path) {
	for i, r := range t.MatchExpressions {
		here := at.Child("matchExpressions").Index(i)
		switch r.Operator {
		case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
			j.require(len(r.Values) > 0, here.Child("values"), "must be specified when `operator` is 'In' or 'NotIn'")
			for k, v := range r.Values {
				j.invalid(here.Child("values").Index(k), v, validation.IsValidLabelValue(v)...)
			}
		case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
			j.forbid(len(r.Values) > 0, here.Child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
		case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
			if len(r.Values) != 1 {
				j.require(false, here.Child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'")
			}
		default:
			j.invalid(here.Child("operator"), r.Operator, "not a valid selector operator")
		}
		j.invalid(here.Child("key"), r.Key, qualified(r.Key)...)
	}
	for i, r := range t.MatchFields {
		here := at.Child("matchFields").Index(i)
		switch r.Operator {
		case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
			if len(r.Values) != 1 {
				j.require(false, here.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector")
			}
		default:
			j.invalid(here.Child("operator"), r.Operator, "not a valid selector operator")
		}
		if r.Key != "metadata.name" {
			j.invalid(here.Child("key"), r.Key, "not a valid field selector key")
		} else {
			for k, v := range r.Values {
				j.invalid(here.Child("values").Index(k), v, subdomain(v)...)
			}
		}
	}
}

func (j *judge) affinityTerm(t *corev1.PodAffinityTerm, at *field.Path) {
	j.selector(at.Child("labelSelector"), t.LabelSelector)
	j.selector(at.Child("namespaceSelector"), t.NamespaceSelector)
	for i, n := range t.Namespaces {
		j.invalid(at.Child("namespaces").Index(i), n, label(n)...)
	}
	j.labelKeys(at.Child("matchLabelKeys"), t.MatchLabelKeys, t.LabelSelector, true)
	j.labelKeys(at.Child("mismatchLabelKeys"), t.MismatchLabelKeys, t.LabelSelector, true)
	for i, k := range t.MatchLabelKeys {
		if slices.Contains(t.MismatchLabelKeys, k) {
			j.invalid(at.Child("matchLabelKeys").Index(i), k, "exists in both matchLabelKeys and mismatchLabelKeys")
		}
	}
	if j.require(t.TopologyKey != "", at.Child("topologyKey"), "can not be empty") {
		j.invalid(at.Child("topologyKey"), t.TopologyKey, qualified(t.TopologyKey)...)
	}
}

// containerResource says what is wrong with a resource's name.
func (j *judge) containerResource(at *field.Path, name string) {
	switch {
	case len(qualified(name)) > 0 && !strings.Contains(name, "/"):
		j.invalid(at, name, qualified(name)...)
	case !strings.Contains(name, "/") && !slices.Contains([]string{"cpu", "memory", "ephemeral-storage"}, name) && !isHuge(name):
		j.invalid(at, name, "must be a standard resource for containers")
	case !isNative(name) && !isExtended(name):
		j.invalid(at, name, "doesn't follow extended resource name standard")
	case len(qualified(name)) > 0:
		j.invalid(at, name, qualified(name)...)
	}
}

func (j *judge) podResource(at *field.Path, name string) {
	if len(qualified(name)) > 0 {
		j.invalid(at, name, qualified(name)...)
	} else if name != "cpu" && name != "memory" && !isHuge(name) {
		j.say(field.NotSupported(at, name, []string{"cpu", "memory", "hugepages-"}))
	}
}

// resourceList holds a list's names and amounts to their rules.
func (j *judge) resourceList(at *field.Path, list corev1.ResourceList, name func(*field.Path, string), whole *field.Path) {
	if name == nil {
		name = j.containerResource
	}
	huge := false
	for _, r := range slices.Sorted(maps.Keys(list)) {
		here, q := at.Key(string(r)), list[r]
		name(here, string(r))
		j.amount(here, string(r), q)
		if isHuge(string(r)) {
			huge = true
			size, err := resource.ParseQuantity(strings.TrimPrefix(string(r), "hugepages-"))
			if err == nil && size.Sign() > 0 && (q.Value()%size.Value() != 0 || q.MilliValue()%1000 != 0) {
				j.invalid(here, q.String(), q.String()+" is not positive integer multiple of "+string(r))
			}
		}
	}
	if whole != nil && huge && !hasEither(list) {
		j.forbid(true, whole, "HugePages require cpu or memory")
	}
}

func hasEither(lists ...corev1.ResourceList) bool {
	for _, l := range lists {
		if _, ok := l[corev1.ResourceCPU]; ok {
			return true
		}
		if _, ok := l[corev1.ResourceMemory]; ok {
			return true
		}
	}
	return false
}

func (j *judge) resources(at *field.Path, r *corev1.ResourceRequirements, claims sets.Set[string], name func(*field.Path, string)) {
	j.resourceList(at.Child("limits"), r.Limits, name, nil)
	j.resourceList(at.Child("requests"), r.Requests, name, nil)
	huge := false
	for n := range r.Limits {
		huge = huge || isHuge(string(n))
	}
	for _, n := range slices.Sorted(maps.Keys(r.Requests)) {
		q := r.Requests[n]
		huge = huge || isHuge(string(n))
		overcommit := isNative(string(n)) && !isHuge(string(n))
		limit, limited := r.Limits[n]
		switch {
		case !limited && !overcommit:
			j.require(false, at.Child("requests").Key(string(n)), fmt.Sprintf("Limit must be set for non overcommitable resources (%s)", n))
		case limited && !overcommit && q.Cmp(limit) != 0:
			j.invalid(at.Child("requests").Key(string(n)), q.String(), fmt.Sprintf("must be equal to %s limit of %s", n, limit.String()))
		case limited && q.Cmp(limit) > 0:
			j.invalid(at.Child("requests").Key(string(n)), q.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", n, limit.String()))
		}
	}
	if huge && !hasEither(r.Limits, r.Requests) {
		j.forbid(true, at, "HugePages require cpu or memory")
	}
	for i, c := range r.Claims {
		if c.Name == "" {
			j.require(false, at.Child("claims").Index(i), "")
		} else if !claims.Has(c.Name) {
			j.say(field.NotFound(at.Child("claims").Index(i), c.Name))
		}
		for k := range i {
			if r.Claims[k] == c {
				j.say(field.Duplicate(at.Child("claims").Index(i), c.Name))
			}
		}
	}
}
