// Package peerpb is the protocol between nodes as protobuf and gRPC see it; the
// package peer speaks it.
package peerpb

//go:generate ./generate
