package check

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

var serviceLinks = &Check{
	Name: "service-links",
	Why: "Kubernetes gives each pod variables for the Services of its namespace: a Service named redis sets REDIS_PORT to «tcp://10.…:6379». " +
		"A program that reads REDIS_PORT as a number fails, in some namespaces and in some orders of start only.",
	Remedy: "Set enableServiceLinks: false in the pod.",
	Run: func(p *Pass) {
		services := map[string]string{} // variable's prefix to Service
		for _, o := range p.Render.Objects {
			if svc, ok := o.Typed.(*corev1.Service); ok && svc.Spec.ClusterIP != corev1.ClusterIPNone {
				services[strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))+"_PORT"] = o.Name
			}
		}
		for _, w := range p.index.workloads {
			if links := w.template.Spec.EnableServiceLinks; links != nil && !*links {
				continue
			}
			for _, c := range w.containers() {
				// The pod's own variable wins; what fails is a shell or a
				// configuration that reads one which nobody set.
				set := map[string]bool{}
				for _, e := range c.Env {
					set[e.Name] = true
				}
				for i, arg := range append(append([]string{}, c.Command...), c.Args...) {
					for _, m := range variable.FindAllStringSubmatch(arg, -1) {
						if name := m[1]; services[name] != "" && !set[name] && len(c.EnvFrom) == 0 {
							field := elem(join(c.path, "command"), i)
							if i >= len(c.Command) {
								field = elem(join(c.path, "args"), i-len(c.Command))
							}
							p.Report(w.object, field, "container %q reads %s, which Service %q sets to «tcp://…»", c.Name, name, services[name])
						}
					}
				}
			}
		}
	},
}

var variable = regexp.MustCompile(`\$[({]?([A-Z][A-Z0-9_]*_PORT)\b`)
