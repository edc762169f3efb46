"""Text as the search sees it: terms and tokens.

Start in `lexical`: terms and BM25 weights for lexical search. `wordpiece` is the tokenizer of the
local model, which also counts tokens for budgets. Imports no other package.
"""
