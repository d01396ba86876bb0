using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "cache", worker = .cache),
    (name = "origin", external = (address = "ORIGIN_ADDRESS", http = ())),
  ],
  sockets = [(name = "front", address = "LISTEN_ADDRESS", http = (), service = "cache")],
);

const cache :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-01-01",
  bindings = [
    (name = "ENTRIES", durableObjectNamespace = "Entry"),
    (name = "ORIGIN", service = "origin"),
  ],
  durableObjectNamespaces = [(className = "Entry", uniqueKey = "corral-bench", preventEviction = true)],
  durableObjectStorage = (inMemory = void),
);
