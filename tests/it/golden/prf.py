"""Vectors of the PRF touchmark-v1, by another route: the `blake3` package and a ChaCha8 written here from RFC 8439's
description with 8 rounds. Run: python3 prf.py > prf.json (needs `pip install blake3==1.0.11`)."""

import json
import struct

import blake3

MASK = 0xFFFFFFFF


def chacha8_block(key, counter, stream):
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    start += list(struct.unpack("<8I", key))
    start += [counter & MASK, counter >> 32, stream & MASK, stream >> 32]
    v = list(start)

    def rotate(x, n):
        return ((x << n) | (x >> (32 - n))) & MASK

    def quarter(a, b, c, d):
        for first, second, third, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            v[first] = (v[first] + v[second]) & MASK
            v[third] = rotate(v[third] ^ v[first], bits)

    for _ in range(4):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return [(x + y) & MASK for x, y in zip(v, start)]


def word(seed, token, stream):
    return chacha8_block(seed, token // 16, stream)[token % 16]


def subkey(key, scheme, parameters, tokenizer, vocab_size):
    binding = blake3.blake3(parameters.encode() + tokenizer + struct.pack("<I", vocab_size)).digest()
    material = key + bytes([len(scheme)]) + scheme.encode() + binding
    return blake3.blake3(material, derive_key_context="touchmark 2026-11 prf v1").digest()


def keyed(sub, head, ids):
    return blake3.blake3(struct.pack(f"<{1 + len(ids)}I", head, *ids), key=sub).digest()


def smallest(seeds):
    return min(seeds, key=lambda seed: struct.unpack("<Q", seed[:8])[0])


def seed(sub, seeding, context, token):
    if seeding == "fixed":
        return keyed(sub, 0, [])
    if seeding == "left":
        return keyed(sub, len(context), context)
    if seeding == "min":
        return smallest([keyed(sub, 1, [i]) for i in context])
    return smallest([keyed(sub, 2, [i, token]) for i in context])


def check(selector, bits, symbol_bits):
    """Step and taps: exact fractions of the selector's words."""
    step = selector[0] * bits >> 32
    rest, taps = selector[1] + (selector[2] << 32), []
    for _ in range(1 + min(10, bits - 1)):
        rest *= (1 << symbol_bits) - 1
        taps.append(1 + (rest >> 64))
        rest &= (1 << 64) - 1
    return step, taps


def symbol(step, taps, bits, message):
    result = 0
    for back, tap in enumerate(taps):
        if message >> ((step - back) % bits) & 1:
            result ^= tap
    return result


def messages(key, tokenizer):
    """What a message makes of the words of a draw."""
    cases = []
    for scheme, parameters, symbol_bits, bits, message in [
        ("gumbel", "context_width=4\npayload_bits=64\n", 4, 64, 0xFEDCBA9876543210),
        ("gumbel", "context_width=4\npayload_bits=17\n", 4, 17, 0x15A5B),
        ("kgw", "green_threshold=1073741824\ncontext_width=2\nseeding=0\npayload_bits=32\n", 2, 32, 0x12345678),
        ("kgw", "green_threshold=2147483648\ncontext_width=2\nseeding=0\npayload_bits=8\n", 1, 8, 0xA7),
    ]:
        sub = subkey(key, scheme, parameters, tokenizer, 8192)
        for context in ([9, 8, 7, 6], [1, 2, 3, 4], [4000, 3000, 2000, 1000]):
            context = context[: 4 if scheme == "gumbel" else 2]
            s = seed(sub, "left", context, 0)
            selector = [word(s, i, 128) for i in range(3)]
            step, taps = check(selector, bits, symbol_bits)
            c = symbol(step, taps, bits, message)
            cases.append({
                "scheme": scheme, "bits": bits, "symbol_bits": symbol_bits, "message": message, "context": context,
                "selector": selector, "step": step, "taps": taps, "symbol": c, "token": 777,
                "word": (word(s, 777, 0) + (c << (32 - symbol_bits))) & MASK,
            })
    return cases


def main():
    cases = []
    tokenizer = bytes(range(32))
    key = bytes((7 * i + 1) % 256 for i in range(32))
    for scheme, parameters, vocab_size in [("kgw", "green_threshold=1073741824\n", 8192), ("gumbel", "", 151936)]:
        sub = subkey(key, scheme, parameters, tokenizer, vocab_size)
        for seeding, context in [
            ("fixed", []),
            ("left", [5]),
            ("left", [5, 0]),
            ("left", list(range(100, 115))),
            ("min", [11, 22, 33, 44]),
            ("self", [11, 22, 33, 44]),
        ]:
            for token, stream in [(0, 0), (15, 0), (16, 64), (8191, 1), (151935, 128)]:
                s = seed(sub, seeding, context, token)
                cases.append({
                    "scheme": scheme, "parameters": parameters, "vocab_size": vocab_size, "seeding": seeding,
                    "context": context, "token": token, "stream": stream,
                    "seed_id": struct.unpack("<Q", s[:8])[0], "word": word(s, token, stream),
                })
    print(json.dumps({
        "_comment": "PRF touchmark-v1, made by prf.py: the Python package blake3 " + blake3.__version__
        + " and a ChaCha8 written in Python. key and tokenizer hash in hexadecimal; word is 32 bits; seed_id is the "
        "first eight bytes of the effective seed, little-endian.",
        "key": key.hex(), "tokenizer": tokenizer.hex(), "cases": cases, "messages": messages(key, tokenizer),
    }, indent=0))


main()
