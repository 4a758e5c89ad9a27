package check

import (
	"path"
	"strconv"
	"strings"
)

var postgresData = &Check{
	Name: "postgres-data",
	Why: "From version 18 on the official PostgreSQL image keeps its data below /var/lib/postgresql/MAJOR/docker: a volume at " +
		"/var/lib/postgresql/data stays empty, and the database is gone with its pod.",
	Remedy: "Mount the volume at /var/lib/postgresql, or set PGDATA to a folder in the volume.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
		next:
			for _, c := range w.containers() {
				major, ok := officialPostgres(c.Image)
				if !ok || major < 18 || len(c.EnvFrom) > 0 {
					continue
				}
				for _, e := range c.Env {
					if e.Name == "PGDATA" {
						continue next
					}
				}
				for i, m := range c.VolumeMounts {
					if path.Clean(m.MountPath) == "/var/lib/postgresql/data" {
						p.Report(w.object, join(elem(join(c.path, "volumeMounts"), i), "mountPath"),
							"container %q mounts %s at %s, but PostgreSQL %d keeps its data in /var/lib/postgresql/%d/docker", c.Name, m.Name, m.MountPath, major, major)
					}
				}
			}
		}
	},
}

// officialPostgres is the major version of an image that is Docker's official
// one for PostgreSQL.
func officialPostgres(image string) (major int, ok bool) {
	image = strings.TrimPrefix(strings.TrimPrefix(image, "docker.io/"), "library/")
	tag, ok := strings.CutPrefix(image, "postgres:")
	if !ok {
		return 0, false
	}
	digits := tag[:len(tag)-len(strings.TrimLeft(tag, "0123456789"))]
	major, err := strconv.Atoi(digits)
	return major, err == nil
}
