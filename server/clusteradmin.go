package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/corralcache/corral/coordinator/cluster"
)

const (
	membersWithin = 4 * time.Second // in which etcd's members have to say how they are
	orderWithin   = 3 * time.Second // and a node that it does as it is told
)

// mayAnswer reports whether this process may answer requests, as far as its
// cluster is concerned. A node that is drained may: it owns nothing, and serves.
func (s *Server) mayAnswer() bool { return s.cluster == nil || s.cluster.Status().Standing }

// ofCluster is for what only a node of a cluster can answer.
func (s *Server) ofCluster(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.cluster == nil {
			refuse(w, http.StatusNotFound, errors.New("this process is in no cluster: set cluster.listen to make it a node of one"))
			return
		}
		next(w, r)
	}
}

// clusterStatus answers GET /cluster/status.
func (s *Server) clusterStatus(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, statusOf(s.cluster.Status()))
}

// clusterTable answers GET /cluster/table.
func (s *Server) clusterTable(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, tableOf(s.cluster.Status(), s.cluster.Table()))
}

// clusterMembers answers GET /cluster/members. That etcd cannot be asked is part
// of the answer: that is when it is looked at.
func (s *Server) clusterMembers(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), membersWithin)
	defer cancel()
	members, err := s.cluster.EtcdMembers(ctx)
	answer(w, http.StatusOK, membersOf(s.cluster.Status(), members, err))
}

// A keyer knows the keys of addresses. A Site is one.
type keyer interface {
	Key(address string) (string, error)
}

// clusterKey answers GET /cluster/partitions?key=…, of an address or of a key as
// it is.
func (s *Server) clusterKey(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query().Get("key")
	key, err := s.keyOf(asked)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	answer(w, http.StatusOK, keyOf(s.cluster.Status(), asked, key, s.cluster.Find(s.config.Load().Name, key)))
}

// clusterDrain answers POST /cluster/drain?node=…, with undo=on the other way
// round. It answers once the node has taken the order; its keys move after that.
func (s *Server) clusterDrain(w http.ResponseWriter, r *http.Request) {
	name, undo := r.URL.Query().Get("node"), r.URL.Query().Get("undo") == "on"
	if name == "" {
		refuse(w, http.StatusBadRequest, errors.New("name the node: ?node="))
		return
	}
	order, what := s.cluster.Drain, "drain"
	if undo {
		order, what = s.cluster.Undrain, "undrain"
	}
	err := cluster.ErrNoLease // of this node: what it knows of the others may be old
	if s.mayAnswer() {
		ctx, cancel := context.WithTimeout(r.Context(), orderWithin)
		defer cancel()
		err = order(ctx, name)
	}
	if err == nil {
		s.log.Info("a node was told to "+what, "node", name)
		answer(w, http.StatusOK, ClusterOrder{Node: name, Draining: !undo})
		return
	}
	s.log.Warn("a node was told to "+what+", in vain", "node", name, "error", err)
	switch {
	case errors.Is(err, cluster.ErrUnknownNode):
		refuse(w, http.StatusNotFound, fmt.Errorf("%w: this node knows %s", err, strings.Join(namesOf(s.cluster.Status()), ", ")))
	case errors.Is(err, cluster.ErrLastOwner):
		refuse(w, http.StatusConflict, err)
	case errors.Is(err, cluster.ErrNoLease), errors.Is(err, cluster.ErrLeft):
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, err)
	default:
		refuse(w, http.StatusBadGateway, fmt.Errorf("%w: whether it drains is not known: look at its state, and repeat it", err))
	}
}
