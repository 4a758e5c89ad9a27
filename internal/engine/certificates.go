package engine

import "text/template"

func (w *worker) addCertificates(f template.FuncMap) {}
