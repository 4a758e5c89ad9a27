// Package stdlib takes the place of the standard library's bindings for Traefik's plugins, of which we use none.
package stdlib

import "reflect"

// Symbols are the bindings by package.
var Symbols = map[string]map[string]reflect.Value{}
