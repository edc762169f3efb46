"""Makes the desired manifests of a resource's children: the step "desire" of a pass. Pure.

Start in `children`, which puts all of them together. One module per kind: `account` (ServiceAccount),
`autoscaler`, `config` (the ConfigMap with the server's environment), `deployment`, `disruption_budget`,
`http_route`, `ingestion_job`, `ingestion_policy`, `ingress`, `network_policy`, `qdrant` (everything of a
managed Qdrant server), `secret`, `service`, `service_monitor`. What they share: `inputs` (what decides
besides the spec), `naming` (names, labels, metadata), `addresses` (by which clients reach a server), `pod`,
`resources`, `scheduling`, `references` (Secrets and ConfigMaps that a spec names), `run` and `sources` (of
Jobs), `egress` (rules of NetworkPolicies), `hashing`.

A new kind also needs an entry in `resource.kinds`, and rights in the operator's chart. May import
`resource` and `formats`.
"""
