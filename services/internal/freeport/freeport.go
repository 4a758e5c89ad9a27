// Package freeport finds ports for the processes that tests start.
package freeport

import (
	"net"
	"testing"
)

// Loopback is a TCP port of the loopback interface that was free a moment ago.
func Loopback(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
