#!/usr/bin/env python3
"""Writes tests/fixtures/tokenizers: small tokenizers of every supported kind, awkward texts, and what
Hugging Face makes of them. The C++ tests compare with these files; only this script writes them.

Needs the packages tokenizers and sentencepiece. With --shared (the folder with the real GPT-2 and Llama-2
tokenizers and stories260K) it also dumps ids, but no files, of those.

    tools/dump_tokenizers.py --shared ../shared
"""

import argparse
import io
import json
import pathlib
import re
import types

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

FIXTURES = pathlib.Path(__file__).parent.parent / "tests/fixtures/tokenizers"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")

SAMPLE = """
The river was low that summer, and the children who lived along it learned where the stones were.
They didn't swim; they'd wade, and they'll tell you that it's the best way to cross. "We've always
crossed here," said the oldest, "and I'm not afraid." In 1987 there were 12 houses, 345 sheep and
1,024 apple trees; by 2019 there were 30 houses and no sheep at all. Nobody can tell a tokenizer what
a word is, so it counts: the tokens that come together most often are merged, then counted again.

def merge(tokens, pair, new_id):
    out = []
    for i in range(len(tokens)):
        if tokens[i] == pair[0] and tokens[i + 1] == pair[1]:
            out.append(new_id)
        else:
            out.append(tokens[i])
    return out  # 0 <= len(out) <= len(tokens)

if (x != nullptr && x->next == y) { return x->value * 2; }
Der Fluß war niedrig; über die Brücke gingen müde Männer. L'été était très chaud, déjà à l'aube.
Река была мелкой, и дети знали, где лежат камни. Они шли через реку каждый день и не боялись.
河水很低，孩子们知道石头在哪里。他们每天过河。今日は川の水が少ない。子供たちは石を知っている。
كان النهر منخفضا في ذلك الصيف. הנהר היה נמוך באותו קיץ. नदी में पानी कम था।
""" * 2

TEXTS = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\n\n\n", "\t\n", "\r\n", " \n ", "\u00a0", "\u3000", "\u180e",
    "\u2028\u2029", "\u0085", "\u200b", "\ufeff", "a", " a", "a ", "  a  ", "Hello world", " Hello world",
    "Hello  world", "Hello   world   ", "Hello, world!", "\n =", "= \n", "\nHello\n\n\nworld\n",
    "tab\tseparated\t\tvalues", "trailing newline\n", "trailing spaces   \n   next",
    "mixed \t \n \t whitespace \r\n\r\n end", "don't won't I'll we've they'd I'm you're it's",
    "DON'T WON'T I'LL WE'VE THEY'D I'M YOU'RE IT'S", "dOn'T I'lL 'tis 'S 's's '' ' '", "it’s ‘quoted’ “text”",
    "'\u017f 'K \u212a", "0", "12", "123", "1234", "1234567890", "3.14159 -1e-10 0xFF", "1,000,000.00 €",
    "½ Ⅷ ² ٣٤٥ १२३ 一二三 ①②", "a1b2c3 x86_64 v1.2.3",
    "for (int i = 0; i < n; ++i) {\n    a[i] += b[i] * 2;\n}\n", "#include <vector>\n\n\nint main() { return 0; }",
    "    indented\n\tby tab\n        deeper", "https://example.org/a?b=c&d=%20#e", "user@example.org",
    "snake_case camelCase kebab-case UPPER", "!!!???...;;;---===", "(((([[[[{{{{<<<<", "a/b\\c|d~e`f^g",
    "café", "cafe\u0301", "\u0301", "e\u0301\u0327 \u0065\u0327\u0301", "Å \u212b A\u030a", "ﬁ ﬂ Ǆ ½ ㎏",
    "a\u0300\u0301\u0302\u0303\u0304 zalgo t\u0336e\u0336x\u0336t", "Ω Ω ϓ ϔ", "한국어 한국어", "각 \u1100\u1161\u11a8",
    "\u0958 \u0915\u093c", "Der Fluß über die Brücke", "L'été était très chaud", "İstanbul ıi Iİ", "ἄνθρωπος Ἄ",
    "Река была мелкой", "河水很低，孩子们知道石头在哪里。", "今日は川の水が少ない", "ﾊﾝｶｸ カタカナ", "𠀀𠮷野家", "สวัสดีครับ", "नदी में पानी कम था।",
    "كان النهر منخفضا", "הנהר היה נמוך", "abc עברית def العربية 123", "\u202eright\u202c to left \u200f", "ᚠᛇᚻ 𐍈 𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "😀", "😀😀😀", "🙂 ok", "👨‍👩‍👧‍👦", "👍🏽 👩🏿‍🚀", "🇩🇪🇫🇷", "❤️ ☕️", "1️⃣", "a😀b🚀c", "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "\x00", "a\x00b", "\x00\x00 \x00", "\x01\x02\x1b[0m\x7f", "\ufffd", "\ufffd\ufffda", "\U0010ffff\uffff",
    "<|endoftext|>", "a<|endoftext|>b", " <|endoftext|> ", "<|endoftext|><|endoftext|>", "<|endoftext|", "<|begin_of_text|>Hi",
    "<|im_start|>user\nHello<|im_end|>\n", "<tool_call>{\"a\": 1}</tool_call>", "<s>", "<s>Hello</s>", "a <s> b </s> c", "</s><unk><s>",
    "<unk>", "x<unk>y", "<0x41>", "<0xE5>", "a<l>b  <l>  c", " \n<l> d", "a<r>b  <r> \n c", "<w>", "a<w>b <w> c<w>", "é<w> _<w> 1<w>!<w>",
    "<n>x <N>y", "ＮＯ NO no<both> \t<both>\n<both>x", "<l><r><l>  <r>", "▁", "▁a ▁ b▁", " ▁▁  ", "Ġ ĠHello Ċ", "âĢĻ",
    "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi! [/INST]", "token tokens tokenizer tokenizers Tokenizer",
    "a" * 300, "ab" * 150, " " * 300, " " * 100 + "x", "\n" * 200, "=" * 150, "0" * 100, "é" * 60, "漢" * 60, "😀" * 40, "the " * 60,
    "\t " * 50, "aaaaaaaaaab" * 12, "x\n" * 60,
]


def train(pre_tokenizer, size, normalizer=None, alphabet=None):
    """Vocabulary and merges of a BPE trained on SAMPLE."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=alphabet or [])
    tokenizer.train_from_iterator(SAMPLE.splitlines(keepends=True), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def train_bytes(pattern, size):
    split = pre_tokenizers.Split(Regex(pattern), "isolated") if pattern else None
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern)
    steps = [split, byte_level] if split else [byte_level]
    pre_tokenizer = pre_tokenizers.Sequence(steps) if split else byte_level
    vocab, merges = train(pre_tokenizer, size, alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    return vocab, merges, pre_tokenizer


def template(bos, tokenizer):
    return processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])


def special(*names):
    return [AddedToken(name, special=True, normalized=False) for name in names]


def gpt2():
    vocab, merges, pre_tokenizer = train_bytes(None, 700)
    tokenizer = Tokenizer(models.BPE(vocab, merges, continuing_subword_prefix="", end_of_word_suffix=""))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens(special("<|endoftext|>"))
    return tokenizer


def llama3():
    vocab, merges, pre_tokenizer = train_bytes(LLAMA3, 700)
    # Without its last merges, some words are tokens that only ignore_merges reaches.
    tokenizer = Tokenizer(models.BPE(vocab, merges[:-40], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"))
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), template("<|begin_of_text|>", tokenizer)])
    return tokenizer


def qwen2():
    vocab, merges, pre_tokenizer = train_bytes(QWEN2, 600)
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens(special("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    return tokenizer


def spaced(size):
    """A vocabulary over characters, with the spaces of words as ▁ in front."""
    return train(pre_tokenizers.Metaspace(prepend_scheme="always"), size)


def llama2_decoder():
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                              decoders.Strip(" ", 1, 0)])


def llama2():
    vocab, merges = spaced(800)
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    table = {name: i for i, name in enumerate(names)}
    # Rare characters are left to the bytes.
    dropped = {token for token in vocab if len(token) == 1 and ord(token) > 0x2fff}
    for token in vocab:
        if not any(c in dropped for c in token):
            table[token] = len(table)
    merges = [pair for pair in merges if not any(c in dropped for c in "".join(pair))]
    tokenizer = Tokenizer(models.BPE(table, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = llama2_decoder()
    tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>"))
    tokenizer.post_processor = template("<s>", tokenizer)
    return tokenizer


def metaspace():
    """No byte fallback, unknown tokens not fused, added tokens of every flag, EOS behind the text."""
    vocab, merges = spaced(500)
    table = {"<unk>": 0, "</s>": 1}
    for token in vocab:
        table[token] = len(table)
    tokenizer = Tokenizer(models.BPE(table, merges, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.add_special_tokens(special("<unk>", "</s>"))
    add_flagged_tokens(tokenizer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def add_flagged_tokens(tokenizer):
    tokenizer.add_tokens([
        AddedToken("<l>", lstrip=True, normalized=False), AddedToken("<r>", rstrip=True, normalized=False),
        AddedToken("<w>", single_word=True, normalized=False), AddedToken("<n>", normalized=True),
        AddedToken("NO", normalized=True), AddedToken("<both>", lstrip=True, rstrip=True, special=True)])


def smollm():
    vocab, merges, _ = train_bytes(None, 600)
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
    add_flagged_tokens(tokenizer)
    return tokenizer


def expectations(tokenizer):
    """ids without the post-processor's tokens, those tokens, and both decodings of the framed ids."""
    frame = tokenizer.encode("").ids
    after = 1 if frame and tokenizer.encode("a").ids[-1] == frame[-1] else 0
    before, behind = frame[:len(frame) - after], frame[len(frame) - after:]
    out = {"before": before, "after": behind, "size": tokenizer.get_vocab_size(), "cases": []}
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        framed = tokenizer.encode(text).ids
        assert framed == before + ids + behind
        out["cases"].append({"ids": ids, "text": tokenizer.decode(framed),
                             "special": tokenizer.decode(framed, skip_special_tokens=False)})
    return out


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def old_spelling(text):
    """As OpenAI's GPT-2 file has it: merges as "left right", and no model type."""
    data = json.loads(text)
    data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    del data["model"]["type"]
    return data


def dump_ours():
    write(FIXTURES / "texts.json", TEXTS)
    for make in (gpt2, llama3, qwen2, llama2, metaspace, smollm):
        tokenizer = make()
        text = tokenizer.to_str()
        data = old_spelling(text) if make is gpt2 else json.loads(text)
        write(FIXTURES / make.__name__ / "tokenizer.json", data)
        # Read back, so that what is compared is what the file says.
        write(FIXTURES / make.__name__ / "expected.json",
              expectations(Tokenizer.from_file(str(FIXTURES / make.__name__ / "tokenizer.json"))))


def real_gpt2(folder):
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special("<|endoftext|>"))
    return tokenizer


class SentencePiece:
    """A tokenizer.model as LlamaTokenizer of transformers 4 uses it (its "legacy" behaviour): special
    tokens are cut out of the text, each part between them goes through sentencepiece by itself."""

    SPECIAL = ("<unk>", "<s>", "</s>")

    def __init__(self, file):
        import sentencepiece
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(file))

    def encode(self, text, add_special_tokens=True):
        ids = [self.model.bos_id()] if add_special_tokens else []
        for part in re.split("(" + "|".join(self.SPECIAL) + ")", text):
            ids += [self.model.piece_to_id(part)] if part in self.SPECIAL else self.model.encode(part)
        return types.SimpleNamespace(ids=ids)

    def decode(self, ids, skip_special_tokens=True):
        pieces = [self.model.id_to_piece(i) for i in ids]
        return llama2_decoder().decode([p for p in pieces if not (skip_special_tokens and p in self.SPECIAL)])

    def get_vocab_size(self):
        return self.model.get_piece_size()

    def as_bpe(self):
        """The tokenizer.json that transformers 4 makes of it: every way to split a piece is a merge, in the
        order of the pieces' scores. (Transformers 5 orders some wrongly: ▁▁ before ▁t.)"""
        pieces = {self.model.id_to_piece(i): i for i in range(self.model.get_piece_size())}
        merges = []
        for piece, index in pieces.items():
            pairs = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
            pairs = [pair for pair in pairs if pair[0] in pieces and pair[1] in pieces]
            pairs.sort(key=lambda pair: (pieces[pair[0]], pieces[pair[1]]))
            merges += [(self.model.get_score(index), *pair) for pair in pairs]
        merges.sort(key=lambda merge: (merge[0], len(merge[1]), len(merge[2])), reverse=True)
        tokenizer = llama2()
        tokenizer.model = models.BPE(pieces, [merge[1:] for merge in merges], unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=True)
        return tokenizer


def train_sentencepiece():
    import sentencepiece
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SAMPLE.splitlines()), model_writer=model, model_type="bpe", vocab_size=560,
        byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True, minloglevel=2)
    file = FIXTURES / "sentencepiece/tokenizer.model"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(model.getvalue())
    write(FIXTURES / "sentencepiece/expected.json", expectations(SentencePiece(file)))


def dump_real(shared):
    llama, stories = (SentencePiece(shared / path) for path in
                      ("data/tokenizers/llama2/tokenizer.model", "models/stories260K/hf/tokenizer.model"))
    bpe = llama.as_bpe()
    for text in TEXTS:  # two independent programs
        assert bpe.encode(text).ids == llama.encode(text).ids, repr(text)
    for name, tokenizer in (("gpt2", real_gpt2(shared / "data/tokenizers/gpt2")), ("llama2", llama),
                            ("stories260k", stories)):
        write(FIXTURES / f"real/{name}.json", expectations(tokenizer))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=pathlib.Path)
    arguments = parser.parse_args()
    dump_ours()
    train_sentencepiece()
    if arguments.shared:
        dump_real(arguments.shared)
    print(f"{len(TEXTS)} texts in {FIXTURES}")


if __name__ == "__main__":
    main()
