"""The tokenizer of the local model. Token budgets are counted with it, too, whatever the embedding."""

import json
from functools import cache
from importlib import resources

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing


def vocabulary() -> bytes:
    """The vocabulary of BERT uncased, one token a line."""
    return resources.files("flame_server").joinpath("data/vocab.txt").read_bytes()


@cache
def load_tokenizer() -> Tokenizer:
    """The WordPiece tokenizer of BERT uncased, with [CLS] and [SEP]. All share it: nobody changes it."""
    vocab = {piece: number for number, piece in enumerate(vocabulary().decode("utf-8").splitlines())}
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106 - a word piece
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])]
    )
    return tokenizer


def as_sent(text: str) -> str:
    """A text as answers contain it: a JSON string, in quotes."""
    return json.dumps(text, ensure_ascii=False)


class TokenCounter:
    """Counts the tokens of a text. Other models count about the same, or fewer for code.

    Blanks and the letters of very long words cost nothing in WordPiece, so eight bytes count as a token at
    least: no text can be much longer than its count says. Usual texts have three to five bytes a token.
    """

    _MOST_BYTES = 8

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> int:
        """The number of tokens of `text`."""
        pieces = len(self._tokenizer.encode(text, add_special_tokens=False))
        return max(pieces, len(text.encode("utf-8", "replace")) // self._MOST_BYTES)
