package check

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

var serviceAsleep = &Check{
	Name:   "service-asleep",
	Why:    "A pod that runs nothing but sleep is ready at once and answers nobody: connections to its Service are refused.",
	Remedy: "Run the server that the Service is for; if the pod is only there to be entered with kubectl exec, leave the Service out.",
	Run: func(p *Pass) {
		for _, o := range p.Render.Objects {
			svc, ok := o.Typed.(*corev1.Service)
			if !ok || len(svc.Spec.Selector) == 0 || len(svc.Spec.Ports) == 0 {
				continue
			}
			for _, w := range p.index.withLabels(svc.Spec.Selector) {
				if len(w.template.Spec.Containers) != 1 {
					continue // another container may be the server
				}
				for _, c := range w.containers() {
					words := append(append([]string{}, c.Command...), c.Args...)
					if len(words) > 3 && strings.HasSuffix(words[0], "sh") && strings.HasPrefix(words[1], "-") && strings.HasSuffix(words[1], "c") {
						words = words[:3] // what follows are the script's arguments
					}
					line := strings.Join(strings.Fields(strings.Join(words, " ")), " ")
					if field := join(c.path, "command"); !c.init && asleep.MatchString(line) {
						if len(c.Command) == 0 {
							field = join(c.path, "args")
						}
						p.Report(w.object, field, "container %q only sleeps, and %s sends connections to it", c.Name, o)
					}
				}
			}
		}
	},
}

var asleep = regexp.MustCompile(`^((\S*/)?(ba|da|a|z)?sh -[a-z]*c )?(exec )?` +
	`(while (true|:|\[ 1 \]) ?; ?do (echo [^;&|]*; ?)?sleep \S+ ?;? ?done|(\S*/)?sleep (infinity|inf|\d+[smhd]?)|(\S*/)?tail -[fF] /dev/null) ?;?$`)
