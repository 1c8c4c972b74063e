"""LoL's jitter: bases of the heads' time frequencies, from Philox4x32-10."""

from .transformer import ROPE_BASE

WORD = 1 << 32


def philox(counter, key):
    """Four words (Salmon, Moraes, Dror, Shaw, SC 2011)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b // WORD ^ c[1] ^ k[0], b % WORD, a // WORD ^ c[3] ^ k[1], a % WORD]
        k = [(k[0] + 0x9E3779B9) % WORD, (k[1] + 0xBB67AE85) % WORD]
    return c


def head_bases(heads, jitter, seed):
    """ROPE_BASE (1 + jitter e), e in (-1, 1) from the first word for each head."""
    words = [philox((head, WORD - 1, 0, 0), (seed, 0))[0] for head in range(heads)]
    return [ROPE_BASE * (1 + jitter * ((2 * word + 1) / WORD - 1)) for word in words]
