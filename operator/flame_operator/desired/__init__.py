"""What a server's children should be: the step "desire". Pure, one module a kind of child.

`children.desired_children` puts all of them together. `inputs` is what decides besides the spec. `naming`
has the names, labels and metadata that all children share; `pod` what all pods share; `egress` the rules
of NetworkPolicies.

May import `resource` and `formats`. Start with `children`, then read the module of the kind that you
want.
"""
