"""The status of a resource, and the Events about it: the step "report".

`outcome` is what a pass has found and done. `conditions` and `index` turn it into a status, `events` into
Kubernetes Events; all three are pure. `reporter` writes the status when it has changed, `recorder` writes
the Events.

May import the rooms of the steps before it, for what they have found. Start with `conditions`.
"""
