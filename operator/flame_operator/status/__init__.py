"""Reports on servers in their status and in Kubernetes Events: the step "report" of a pass.

`outcome` holds what a pass has found and done. `conditions` and `index` turn it into a status, `events`
turns a change of status into Events; all of these are pure. `reporter` writes the status when it has changed,
and `recorder` writes the Events.

May import the rooms of the earlier steps, for their results. Start with `conditions`.
"""
