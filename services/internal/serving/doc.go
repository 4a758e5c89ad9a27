// Package serving is what every Go service of the studio serves besides its own work: health, readiness, metrics,
// JSON logs, problem documents and a graceful end.
package serving

import _ "github.com/prometheus/client_golang/prometheus/promhttp"
