package check

import "strings"

var image = &Check{
	Name:   "image",
	Why:    "The API server takes nearly any text for an image; a node that can't make a reference of it never starts the container.",
	Remedy: "Look for a value that is empty, or written in capitals, where the template puts the image's name together.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			for _, c := range w.containers() {
				if problem := imageProblem(c.Image); problem != "" {
					p.Report(w.object, join(c.path, "image"), "container %q: image %q %s", c.Name, c.Image, problem)
				}
			}
		}
	},
}

// imageProblem says what makes a reference no image. What it lets pass may
// still not exist.
func imageProblem(image string) string {
	switch {
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
