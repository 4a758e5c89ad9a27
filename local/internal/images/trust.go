package images

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// trust lets a build speak HTTPS through what the host trusts (a company's own authority, an intercepting proxy). It is
// mounted for the time of the build and is part of no image: a directory with the bundle, and a pip.conf that names it.
type trust struct{ dir string }

const mounted = "/run/ai-film-build"

// bundles are where the host's certificates can be; the first that exists is taken.
func bundles() []string {
	return []string{os.Getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}
}

func findTrust(dir string) (trust, error) {
	for _, file := range bundles() {
		if file == "" {
			continue
		}
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return trust{}, err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return trust{}, err
		}
		var pip strings.Builder
		fmt.Fprintf(&pip, "[global]\ncert = %s/ca.crt\n", mounted)
		for _, option := range []string{"index-url", "extra-index-url", "trusted-host", "timeout"} {
			name := "PIP_" + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
			if option == "timeout" {
				name = "PIP_DEFAULT_TIMEOUT"
			}
			if value := os.Getenv(name); value != "" {
				fmt.Fprintf(&pip, "%s = %s\n", option, value)
			}
		}
		apt := fmt.Sprintf("Acquire::https::CaInfo %q;\n", mounted+"/ca.crt")
		for name, content := range map[string]string{"ca.crt": string(data), "pip.conf": pip.String(), "apt.conf": apt} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				return trust{}, err
			}
		}
		return trust{dir}, nil
	}
	return trust{}, nil // nothing to hand on: the images' own certificates must do
}

// flags for `buildah bud`. The build arguments reach only Containerfiles that declare them with ARG.
func (t trust) flags() []string {
	if t.dir == "" {
		return nil
	}
	flags := []string{
		"-v", t.dir + ":" + mounted + ":ro",
		"-v", filepath.Join(t.dir, "pip.conf") + ":/etc/pip.conf:ro",
		"-v", filepath.Join(t.dir, "apt.conf") + ":/etc/apt/apt.conf.d/90ai-film-build:ro",
	}
	for _, name := range []string{"SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"} {
		flags = append(flags, "--build-arg", name+"="+mounted+"/ca.crt")
	}
	return flags
}
