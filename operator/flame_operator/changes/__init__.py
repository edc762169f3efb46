"""From desired children to live ones: the steps "plan" and "act".

`plan` compares desired with observed children and lists writes and deletions; `compare` knows what counts
as equal; `gates` holds back what would do harm now. All three are pure. `apply` carries the actions out,
`children` reads.

May import `informer` (the cache) and `api`. It knows nothing of how children are desired. Start with
`plan`.
"""
