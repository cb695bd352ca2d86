#!/usr/bin/env python3
"""Prints where the Unicode tables of the reference tokenizer and of utf8proc differ: the tables at the head of
src/text/unicode.cpp. Needs tokenizers and libutf8proc."""
import ctypes
from tokenizers import Regex, normalizers, pre_tokenizers

lib = ctypes.CDLL("libutf8proc.so.2")
libc = ctypes.CDLL(None)
lib.utf8proc_unicode_version.restype = lib.utf8proc_category_string.restype = ctypes.c_char_p
lib.utf8proc_NFC.restype = lib.utf8proc_NFD.restype = ctypes.c_void_p
POINTS = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]


def normal(function, text):
    pointer = function(text.encode())
    result = ctypes.string_at(pointer).decode()
    libc.free(ctypes.c_void_p(pointer))
    return result


def show(name, points):
    runs = []
    for c in sorted(points):
        if runs and runs[-1][1] == c - 1:
            runs[-1][1] = c
        else:
            runs.append([c, c])
    print(f"{name} ({len(points)}):", " ".join(f"{a:X}-{b:X}" if a != b else f"{a:X}" for a, b in runs))


def members(pattern):
    split, found = pre_tokenizers.Split(Regex(pattern), "removed", invert=True), set()
    for i in range(0, len(POINTS), 1 << 14):
        for piece, _ in split.pre_tokenize_str("".join(map(chr, POINTS[i:i + (1 << 14)]))):
            found.update(map(ord, piece))
    return found


def reordered(nfc, c):
    """True if the normaliser takes c for a combining mark."""
    return any(nfc(s) != s for s in ("a" + chr(c) + "\u0334", "a\u0345" + chr(c)))


def main():
    print("utf8proc: Unicode", lib.utf8proc_unicode_version().decode())
    category = {c: lib.utf8proc_category_string(c).decode() for c in POINTS}
    for letter in "LN":
        reference, ours = members(rf"\p{{{letter}}}"), {c for c in POINTS if category[c][0] == letter}
        show(f"{letter}, reference only", reference - ours)
        show(f"{letter}, utf8proc only", ours - reference)
    show("white space", members(r"\s"))
    lower = normalizers.Lowercase().normalize_str
    show("lower case", [c for c in POINTS if lower(chr(c)) != chr(lib.utf8proc_tolower(c))])
    nfc, nfd = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str
    ours = lambda s: normal(lib.utf8proc_NFC, s)
    marks = [c for c in POINTS if category[c][0] == "M"]
    show("marks of utf8proc only", [c for c in marks if reordered(ours, c) and not reordered(nfc, c)])
    show("marks of the reference only", [c for c in marks if reordered(nfc, c) and not reordered(ours, c)])
    show("decompositions", [c for c in POINTS if normal(lib.utf8proc_NFD, chr(c)) != nfd(chr(c))])


if __name__ == "__main__":
    main()
