// Package unittest runs the test suites of helm-unittest, unmodified, with its
// verdicts and its reports (v1.1, https://github.com/helm-unittest/helm-unittest),
// on charttest's engine: templates are parsed once for a chart, equal renders
// are made once, tests run in parallel.
//
// In go test:
//
//	func TestSuites(t *testing.T) {
//		unittest.Run(t, charttest.MustLoad(t, "."))
//	}
//
// It is a package of its own and no method of Chart, so that whoever has no such
// suites doesn't compile what they need: a JSONPath, a fake cluster, report
// formats.
//
//	Options  what to run, the flags of «charttest unittest»
//	suite    a file's suites and their tests (suite.go)
//	outcome  a test's rendered documents, made once for equal tests (render.go)
//	assert   a test's assertions on them (assert.go, validate.go)
//	Report   what came of it; prints, and writes JUnit and its like (report.go, xml.go)
package unittest
