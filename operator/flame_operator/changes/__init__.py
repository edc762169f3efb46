"""Turns desired children into live ones: the steps "plan" and "act" of a pass.

`plan` compares desired with observed children and lists writes and deletions; `compare` knows what counts
as equal; `gates` holds back actions that would do harm now. All three are pure. `apply` carries the actions
out, and `children` reads live children.

May import `informer` (the cache) and `api`. It doesn't depend on how desired children are made. Start with
`plan`.
"""
