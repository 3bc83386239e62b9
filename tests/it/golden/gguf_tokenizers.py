"""Small vocabularies in GGUF files, with the ids that the libraries of their makers give for some texts.

Byte-level vocabularies are trained with Hugging Face tokenizers, each with the normaliser and the pre-tokenizer that the
published tokenizer.json of its family has, and stored as llama.cpp's converter stores them. SentencePiece vocabularies
are trained with sentencepiece. Writes `gguf/tokenizer-<name>.gguf` and `gguf_tokenizers.json` beside this file.

Run: python tests/it/golden/gguf_tokenizers.py
Needs gguf, tokenizers, sentencepiece, transformers, protobuf (gguf_tokenizers.json names the versions).
"""

import importlib.metadata
import io
import json
import pathlib
import random

import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers.convert_slow_tokenizer import generate_merges

HERE = pathlib.Path(__file__).resolve().parent
TRAINING = HERE.parents[1] / "data" / "human.jsonl"
LETTERS = (
    "The watermark doesn't survive; they're sure it'll fade. I'VE SEEN IT'S GONE! HTTPServer camelCase snake_case "
    "naïve café — “quoted” … Übergröße façade Straße. Ελληνικά κείμενα και λέξεις. Русский текст о водяных знаках. "
    "中文文本，没有空格。日本語のテキスト、カタカナ。한국어 텍스트. हिन्दी पाठ। العربية نص. ไทย "
    "def f(x):\n    return {'a': [1, 2, 3], \"b\": x ** 2}\n\n\n\tif x != 10:\r\n\t\tpass  # 3.14159\n"
    "0 1 12 123 1234 12345 1000000 2026-11-21 ½ ² ٣٤ "
)
TEXTS = [
    "", " ", "  ", "   a", "a ", "\n", "\n\n", " \n \n", "\t\tx", "\r\n\r\nx", "Hello world", " Hello  world   !",
    "doesn't DON'T I'll you'Re we'VE 'tis ''s", "123", "1234567", " 12 345 6", "3.14159e-10", "x1y22z333", "½²٣٤",
    "def f(x):\n    return x**2 + f(x - 1)\n", "if (a&&b||!c) { return; } // done\r\n", "<html><b>x</b></html>",
    "camelCaseHTTPServer snake_case KEBAB-case iPhone", "naïve café", "nai\u0308ve cafe\u0301", "Straße ÜBER ǅ",
    "Ελληνικά", "Русский текст", "中文，没有空格。", "日本語のカタカナ", "한국어", "हिन्दी", "العربية", "ไทย",
    "👩‍🚀🏳️‍🌈 🙂", "\u200b\u00a0\u3000x\u2028y", "\u0000\u0001", "\ufffd\ufeff", "▁a ▁▁ b▁", "Ġa Ċb",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "<s>[INST] hi [/INST] yes</s>",
    "<think>\nhm\n</think>\n\nok", "a<|endoftext|>b", "<|endoftext", " <s> ", "<unk><0x0A>", "watermark watermarks",
    "a<tag>  b\n\n\nc", "$5 +-*/ ^~| `code` \\n", "--- *** ===", "///path/to//file", "!?.,;:", "aaaaaaaaaaaaaaaa",
    "https://example.org/a?b=c&d=%20e#f", "  \n  def  \n\t x ", "I'm I'M i'D", "'s", "e\u0301\u0301\u0301",
]
ALPHABET = list("aeiost ETAI  \n\t\r019.,'!-<>|_") + ["é", "ß", "я", "中", "の", "한", "ा", "٣", "🙂", "\u0301", "\u00a0"]

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
QWEN2 = CL100K.replace("{1,3}", "")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
HEAD, TAIL = r"[^\r\n\p{L}\p{N}]?", r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = rf"{HEAD}{UPPER}*{LOWER}+{ENDING}|{HEAD}{UPPER}+{LOWER}*{ENDING}|\p{{N}}{{1,3}}{TAIL}"
TEKKEN = rf"{HEAD}{UPPER}*{LOWER}+|{HEAD}{UPPER}+{LOWER}*|\p{{N}}{TAIL}"

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def cut(regex):
    return [pre_tokenizers.Split(Regex(regex), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]


def gpt2():
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def digits():
    return pre_tokenizers.Digits(individual_digits=True)


CHAT = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
DEFAULT = [pre_tokenizers.Split(Regex(r"[\p{P}\$\+<=>\^~\|]+"), "isolated"),
           pre_tokenizers.Split(Regex(GPT2), "isolated"), pre_tokenizers.Split(Regex(r"\p{N}+"), "isolated"),
           pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated"),
           pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]

# name: pre-tokenizer, NFC, ignore_merges, special tokens first, tokens that are not special
BYTE_LEVEL = {
    "llama-bpe": (cut(CL100K), False, True, False, []),
    "dbrx": (cut(CL100K), False, False, False, []),
    "qwen2": (cut(QWEN2), True, False, False, ["<think>", "</think>"]),
    "deepseek-r1-qwen": (cut(QWEN2), False, False, False, ["<think>", "</think>"]),
    "gpt-2": ([gpt2()], False, False, False, []),
    "olmo": ([gpt2()], True, False, False, ["  ", "\n\n\n"]),
    "smollm": ([digits(), gpt2()], False, False, True, []),
    "tekken": (cut(TEKKEN), False, True, True, []),
    "gpt-4o": (cut(O200K), False, False, False, []),
    "default": (DEFAULT, False, False, False, []),
}


def training():
    texts = [json.loads(line)["text"] for line in TRAINING.read_text().splitlines()[:8]] if TRAINING.exists() else []
    assert texts, f"no training text in {TRAINING}"
    return [LETTERS] * 3 + texts


def texts():
    generator = random.Random(1)
    return TEXTS + ["".join(generator.choices(ALPHABET, k=generator.randint(5, 40))) for _ in range(60)]


def byte_level(name):
    steps, nfc, ignore_merges, first, user = BYTE_LEVEL[name]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC() if nfc else None
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    trainer = trainers.BpeTrainer(vocab_size=620, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=CHAT if first else [], show_progress=False)
    tokenizer.train_from_iterator(training(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    # A token that no merge makes: only ignore_merges finds it.
    model["vocab"]["Ġwatermarks"] = len(model["vocab"])
    model["ignore_merges"] = ignore_merges
    whole = json.loads(tokenizer.to_str())
    whole["model"] = model
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in CHAT])
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in user])
    return tokenizer, [tuple(merge) for merge in model["merges"]]


def write(name, kind, pre, tokens, types, merges=None, scores=None, **more):
    path = HERE / "gguf" / f"tokenizer-{name}.gguf"
    path.parent.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    # What llama.cpp wants to read before a vocabulary.
    for add, value in [(writer.add_context_length, 64), (writer.add_embedding_length, 32), (writer.add_block_count, 1),
                       (writer.add_feed_forward_length, 32), (writer.add_head_count, 1),
                       (writer.add_layer_norm_rms_eps, 1e-5)]:
        add(value)
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    if scores:
        writer.add_token_scores(scores)
    writer.add_token_types(types)
    if merges:
        writer.add_token_merges([" ".join(merge) for merge in merges])
    for key, value in more.items():
        getattr(writer, f"add_{key}")(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def ids_of(tokenizer):
    tokenizer.encode_special_tokens = True
    plain = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts()]
    tokenizer.encode_special_tokens = False
    prompt = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts()]
    return plain, prompt


def store_byte_level(name):
    tokenizer, merges = byte_level(name)
    vocab = sorted(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
    tokens = [text for text, _ in vocab]
    added = {token.content: token.special for token in tokenizer.get_added_tokens_decoder().values()}
    types = [(CONTROL if added[text] else USER) if text in added else NORMAL for text in tokens]
    padding = [f"[PAD{len(tokens) + i}]" for i in range(3)]
    write(name, "gpt2", name, tokens + padding, types + [UNUSED] * 3, merges=merges,
          bos_token_id=tokens.index(CHAT[0]), eos_token_id=tokens.index(CHAT[2]),
          chat_template="{{ bos_token }}{{ messages[0]['content'] }}{{ eos_token }}")
    return tokenizer, len(tokens)


def sentence_piece(prefix, user):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(training()), model_writer=model, model_type="bpe", vocab_size=860, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=prefix,
        allow_whitespace_only_pieces=True, split_digits=True, character_coverage=0.998, user_defined_symbols=user,
        control_symbols=["[INST]", "[/INST]"], max_sentence_length=100000, minloglevel=2)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def store_sentence_piece(name, prefix, user):
    library = sentence_piece(prefix, user)
    size = library.GetPieceSize()
    pieces = [library.IdToPiece(i) for i in range(size)]
    scores = [library.GetScore(i) for i in range(size)]
    types = [UNKNOWN if library.IsUnknown(i) else CONTROL if library.IsControl(i) else BYTE if library.IsByte(i)
             else USER if pieces[i] in user else NORMAL for i in range(size)]
    tokens = [piece.replace("▁", " ") if piece in user else piece for piece in pieces]
    more = {} if prefix else {"add_space_prefix": False}
    write(name, "llama", "default", tokens, types, scores=scores, bos_token_id=1, eos_token_id=2, unk_token_id=0,
          **more)
    # The tokenizer.json that transformers publishes for such a model.
    vocab = {piece: i for i, piece in enumerate(tokens)}
    skip = {piece for piece, kind in zip(tokens, types) if kind != NORMAL}
    normal = {piece: score for piece, score in zip(tokens, scores) if piece not in skip}
    merges = generate_merges({piece: vocab[piece] for piece in normal}, normal)
    fast = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [normalizers.Prepend("▁")] if prefix else []
    fast.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "▁")])
    for piece, kind in zip(tokens, types):
        if kind in (UNKNOWN, CONTROL, USER):
            fast.add_tokens([AddedToken(piece, normalized=False, special=kind != USER)])
    plain = [library.EncodeAsIds(text) for text in texts()]
    return plain, ids_of(fast), size


def differing(ids, others):
    return {str(i): a for i, (a, b) in enumerate(zip(ids, others)) if a != b}


def main():
    names = ["gguf", "tokenizers", "sentencepiece", "transformers"]
    files = {}
    for name in BYTE_LEVEL:
        tokenizer, size = store_byte_level(name)
        plain, prompt = ids_of(tokenizer)
        files[name] = {"vocab_size": size, "plain": plain, "prompt": differing(prompt, plain)}
    for name, prefix, user in [("spm", True, []), ("spm-no-prefix", False, ["<tag>", "▁▁", "\n\n"])]:
        plain, (fast, prompt), size = store_sentence_piece(name, prefix, user)
        differ = {text for text, a, b in zip(texts(), plain, fast) if a != b}
        assert all("▁" in text for text in differ), f"{name}: transformers' merges and sentencepiece differ: {differ}"
        plain = [None if text in differ else ids for text, ids in zip(texts(), plain)]
        files[name] = {"vocab_size": size, "plain": plain, "prompt": differing(prompt, plain)}
    fields = {
        "comment": "ids of texts[i] in each file's vocabulary, no begin token added. plain: special tokens written out "
                   "stay text (byte level: tokenizers; spm: sentencepiece itself). prompt: for those texts where it is "
                   "something else, the ids when special tokens become their ids (tokenizers, for spm with the merges "
                   "that transformers makes of scores). null: sentencepiece takes a written-out U+2581 for a space "
                   "within user-defined tokens, the others do not. vocab_size leaves out the unused tokens at the end.",
        "generator": "tests/it/golden/gguf_tokenizers.py",
        "versions": {name: importlib.metadata.version(name) for name in names},
        "texts": texts(),
        "files": files,
    }
    compact = dict(separators=(",", ":"), ensure_ascii=True)
    lines = [f"{json.dumps(k)}:{json.dumps(v, **compact)}" for k, v in fields.items() if k != "files"]
    inner = ",\n".join(f"{json.dumps(k)}:{json.dumps(v, **compact)}" for k, v in files.items())
    lines.append(f'"files":{{\n{inner}\n}}')
    (HERE / "gguf_tokenizers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
