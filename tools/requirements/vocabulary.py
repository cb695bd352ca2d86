"""Makes a tokenizer directory of CLIP's vocabulary from open_clip_torch's wheel: vocabulary.py WHEELS DIRECTORY.

The wheel has the list of merges alone, from which the ids follow: the bytes, the bytes that end a word, what each merge
makes, the two markers. It is the vocabulary of every Stable Diffusion 1, 2 and XL model.
"""
import gzip
import pathlib
import sys
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
from tiny_tokenizer import make_vocabulary, write_tokenizer  # noqa: E402

SIZE = 49408
MEMBER = "open_clip/bpe_simple_vocab_16e6.txt.gz"

wheels, directory = map(pathlib.Path, sys.argv[1:])
[wheel] = wheels.glob("open_clip_torch-*.whl")
with zipfile.ZipFile(wheel) as archive:
    lines = gzip.decompress(archive.read(MEMBER)).decode("utf-8").split("\n")
    [licence] = [name for name in archive.namelist() if name.endswith("/LICENSE")]
    licence_text = archive.read(licence)
# The first line is a heading; CLIP uses as many of the rest as fill its vocabulary up.
merges = [tuple(line.split()) for line in lines[1:SIZE - 2 * 256 - 2 + 1]]
vocabulary = make_vocabulary(merges)
if len(vocabulary) != SIZE:
    sys.exit(f"{wheel.name}: makes {len(vocabulary)} tokens, not {SIZE}")
write_tokenizer(directory, merges, vocabulary, max_length=77)
(directory / "LICENSE").write_bytes(licence_text)
