// Package sim runs the cluster's core against everything that can go wrong.
package sim
