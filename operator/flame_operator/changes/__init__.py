"""Turns desired children into live ones: the steps "plan" and "act" of a pass.

Start in `plan`: it compares desired with observed children and lists writes and deletions. `compare` knows
which differences count. `gates` holds back actions: no Deployment while a Secret that its pods read is
missing, no deletion of what pods of an older spec still use. These three are pure. `apply` carries the
actions out; `children` reads live children from the cache or from the API server (the step "look").

May import `informer` (the cache) and `api`. It doesn't depend on how desired children are made.
"""
