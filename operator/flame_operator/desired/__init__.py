"""Makes the desired manifests of a server's children: the step "desire" of a pass.

Pure, with one module for each kind of child. `children.desired_children` puts all of them together. `inputs`
holds what decides besides the spec. `naming` has the names, labels and metadata that all children share,
`pod` what all pods share, and `egress` the rules of NetworkPolicies.

May import `resource` and `formats`. Start with `children`, then read the module of the kind that you
want.
"""
