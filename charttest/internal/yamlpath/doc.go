/*
 * Copyright 2020 VMware, Inc.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

// Package yamlpath provides YAML node searching using path notation.
//
// It is a copy of github.com/helm-unittest/yaml-jsonpath v0.4.0, pkg/yamlpath,
// which is what helm-unittest finds values with. That module still carries the
// path of the one that it was forked from, so it can be had only by a replace
// directive, and «go install» refuses modules that have one. A test holds the
// copy to the original; it is not to be edited.
package yamlpath
