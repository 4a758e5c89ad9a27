// Package unsafe takes the place of the bindings of package unsafe for Traefik's plugins, of which we use none.
package unsafe

import "reflect"

// Symbols are the bindings by package.
var Symbols = map[string]map[string]reflect.Value{}
