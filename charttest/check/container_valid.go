package check

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	corev1 "k8s.io/api/core/v1"
)

var containerValid = &Check{
	Name:   "container",
	Why:    "The API server refuses a container without a name, an image that can't be one, or a variable that has both a value and a source.",
	Remedy: "Set name and image; look for a value that is empty where a template puts it together.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			if len(w.template.Spec.Containers) == 0 {
				p.Report(w.object, w.spec(), "has no containers")
			}
			names := map[string]bool{}
			for _, c := range w.containers() {
				for _, problem := range validation.IsDNS1123Label(c.Name) {
					p.Report(w.object, join(c.path, "name"), "container name %q: %s", c.Name, problem)
				}
				if names[c.Name] {
					p.Report(w.object, join(c.path, "name"), "a second container is named %q", c.Name)
				}
				names[c.Name] = true
				if problem := imageProblem(c.Image); problem != "" {
					p.Report(w.object, join(c.path, "image"), "container %q: image %q %s", c.Name, c.Image, problem)
				}
				p.env(w, c)
			}
			p.restartPolicy(w)
		}
	},
}

// imageProblem says what makes a reference no image. What it lets pass may
// still not exist.
func imageProblem(image string) string {
	switch {
	case image == "":
		return "is empty"
	case strings.ContainsAny(image, " \t\n"):
		return "has a space in it"
	case strings.HasSuffix(image, ":"), strings.HasSuffix(image, "@"):
		return "ends where its tag should stand"
	case strings.HasPrefix(image, "/"), strings.HasPrefix(image, ":"), strings.Contains(image, "//"), strings.Contains(image, "/:"):
		return "lacks its repository"
	}
	repository, _, _ := strings.Cut(image, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository = repository[:i]
	}
	path := repository
	if host, rest, ok := strings.Cut(repository, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost" || host != strings.ToLower(host)) {
		path = rest
	}
	if path != strings.ToLower(path) {
		return "has capitals in its repository"
	}
	return ""
}

func (p *Pass) env(w workload, c container) {
	for i, e := range c.Env {
		field := elem(join(c.path, "env"), i)
		if e.Name == "" {
			p.Report(w.object, field, "container %q has a variable without a name", c.Name)
		}
		if e.Value != "" && e.ValueFrom != nil {
			p.Report(w.object, field, "container %q: variable %s has both value and valueFrom", c.Name, e.Name)
		}
	}
}

// restartPolicy holds workloads to the policies that their kind allows.
func (p *Pass) restartPolicy(w workload) {
	policy := w.template.Spec.RestartPolicy
	switch w.object.Kind {
	case "Pod":
	case "Job", "CronJob":
		if policy != corev1.RestartPolicyNever && policy != corev1.RestartPolicyOnFailure {
			p.Report(w.object, join(w.spec(), "restartPolicy"), "a Job's restartPolicy must be Never or OnFailure, not %q", policy)
		}
	default:
		if policy != "" && policy != corev1.RestartPolicyAlways {
			p.Report(w.object, join(w.spec(), "restartPolicy"), "restartPolicy must be Always, not %q", policy)
		}
	}
}
