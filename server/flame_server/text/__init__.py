"""Text as the search sees it: lexical tokens and token budgets."""
