// Package serving is what every Go service of the studio serves besides its own work: health, readiness, metrics,
// JSON logs, problem documents and a graceful end.
//
//	func main() {
//		serving.Main("ffmpeg", "8080", func(s *serving.Service) error { s.Handle("POST /v1/encode", s.Work(h)); return nil })
//	}
package serving
