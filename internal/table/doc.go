// Package table keeps a cache's entries: it finds them by key, counts their
// bytes, and chooses whose value goes when the bytes do not suffice.
package table
