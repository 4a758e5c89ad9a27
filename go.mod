module github.com/ai-film/ai-film

go 1.26.0

require (
	github.com/stretchr/testify v1.11.1
	helm.sh/helm/v3 v3.22.0
	sigs.k8s.io/yaml v1.6.0
)
