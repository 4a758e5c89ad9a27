package dryrun

import "time"

// Abandon sets how old namespaces are that nobody needs, until the function
// that it returns is called.
func Abandon(age time.Duration) (restore func()) {
	before := abandoned
	abandoned = age
	return func() { abandoned = before }
}
