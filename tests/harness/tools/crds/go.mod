// Custom resource definitions of others, for tests: nothing of these modules is built.
module flamemcp.dev/tools/crds

go 1.26

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.4.1
)
