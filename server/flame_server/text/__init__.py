"""Text as the search sees it: terms and tokens, and which names and texts it may show.

Start in `lexical`: terms and BM25 weights for lexical search. `wordpiece` is the tokenizer of the
local model, which also counts tokens for budgets. `names` tells which names may stand in answers, `hidden`
which HTML elements nobody sees, and `anchors` makes the anchors of headings. Imports no other package.
"""
