"""A target that is a Kubernetes cluster: replicas are Deployments there."""
