#!/usr/bin/env python3
"""Makes configs/austen.txt.xz from Debian's package r-cran-janeaustenr.

    tools/make_austen.py                    downloads the package (apt-get download), writes configs/austen.txt.xz
    tools/make_austen.py --deb FILE.deb     reads a package that is here already
    tools/make_austen.py -o OUT.txt.xz      writes elsewhere
    tools/make_austen.py --check            writes nothing: says whether the file in the repository is that text

The novels lie in an R database: `Rdata.rdx` (gzip) is a list of (offset,
length) pairs, and each chunk of `Rdata.rdb` is 4 bytes of big-endian length and
a zlib stream, which holds a vector of lines in R's XDR serialisation. The text
is every line of the six novels, in the order in which they were published,
each followed by a newline: 4,025,029 bytes.
"""
import argparse
import gzip
import hashlib
import lzma
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

PACKAGE = "r-cran-janeaustenr"
NOVELS = ["sensesensibility", "prideprejudice", "mansfieldpark", "emma", "northangerabbey", "persuasion"]
TEXT_BYTES = 4025029
TEXT_SHA256 = "f2516f2139e3cecf49657122fed58ac46313f1fdff32a26fc66789293e92d573"
DEFAULT_OUT = pathlib.Path(__file__).resolve().parent.parent / "configs" / "austen.txt.xz"


class XdrReader:
    """Reads one R object of R's XDR serialisation (versions 2 and 3).

    Lists come as ([items], attributes), attributes and pair lists as
    dictionaries, strings as bytes. Only the types that a data frame of text
    needs are known; any other ends the program with its number.
    """

    SYMBOL, PAIRLIST, CHAR, LOGICAL, INTEGER, STRINGS, LIST = 1, 2, 9, 10, 13, 16, 19
    NIL, REFERENCE = 254, 255

    def __init__(self, data):
        self.data, self.at, self.references = data, 2, []
        if data[:2] != b"X\n":
            sys.exit(f"make_austen.py: offset 0: {data[:2]!r} is not R's XDR serialisation (b'X\\n')")
        version, _, _ = self.int(), self.int(), self.int()
        if version == 3:
            name_length = self.int()
            self.at += name_length  # the native encoding

    def int(self):
        value = struct.unpack_from(">i", self.data, self.at)[0]
        self.at += 4
        return value

    def item(self):
        return self.item_of(self.int())

    def item_of(self, flags):
        kind, has_attributes, has_tag = flags & 255, flags & 0x200, flags & 0x400
        if kind == self.NIL:
            return {}
        if kind == self.CHAR:
            length = self.int()
            self.at += max(length, 0)
            return self.data[self.at - length:self.at] if length >= 0 else None
        if kind == self.SYMBOL:
            self.references.append(self.item())
            return self.references[-1]
        if kind == self.REFERENCE:
            return self.references[(flags >> 8) - 1]
        if kind == self.PAIRLIST:
            if has_attributes:
                self.item()
            tag = self.item() if has_tag else b""
            pairs = {tag: self.item()}
            pairs.update(self.item())
            return pairs
        if kind in (self.LOGICAL, self.INTEGER):
            items = [self.int() for _ in range(self.int())]
        elif kind in (self.STRINGS, self.LIST):
            items = [self.item() for _ in range(self.int())]
        else:
            sys.exit(f"make_austen.py: offset {self.at - 4}: R type {kind} is not known here")
        return items, (self.item() if has_attributes else {})


def named(value):
    """A named R list as a dictionary."""
    items, attributes = value
    names = attributes[b"names"][0] if attributes else []
    return dict(zip([name.decode() for name in names], items))


def read_novels(root):
    """Name -> text of every novel in the unpacked package below `root`."""
    data = root / "usr/lib/R/site-library/janeaustenr/data"
    index = named(XdrReader(gzip.decompress((data / "Rdata.rdx").read_bytes())).item())
    database = (data / "Rdata.rdb").read_bytes()
    novels = {}
    for name, (place, _) in named(index["variables"]).items():
        offset, length = place
        chunk = database[offset:offset + length]
        text = zlib.decompress(chunk[4:])
        if len(text) != struct.unpack(">I", chunk[:4])[0]:
            sys.exit(f"make_austen.py: Rdata.rdb, offset {offset}: {len(text)} bytes, its head says otherwise")
        lines, _ = XdrReader(text).item()
        novels[name] = b"".join(line + b"\n" for line in lines)
    return novels


def make_text(deb):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        if deb is None:
            subprocess.run(["apt-get", "download", "-q", PACKAGE], cwd=root, check=True, stderr=subprocess.DEVNULL)
            deb = next(root.glob("*.deb"))
        print(f"package {deb.name}, sha256 {hashlib.sha256(deb.read_bytes()).hexdigest()}")
        subprocess.run(["dpkg", "-x", deb, root / "unpacked"], check=True)
        novels = read_novels(root / "unpacked")
    for name in NOVELS:
        print(f"  {name:18} {len(novels[name]):9,} bytes")
    return b"".join(novels[name] for name in NOVELS)


def check_text(text, what):
    sha256 = hashlib.sha256(text).hexdigest()
    print(f"{what}: {len(text):,} bytes, sha256 {sha256}")
    if len(text) != TEXT_BYTES or sha256 != TEXT_SHA256:
        sys.exit(f"make_austen.py: {what} is another text: wanted {TEXT_BYTES:,} bytes, sha256 {TEXT_SHA256}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deb", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, default=DEFAULT_OUT)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        check_text(lzma.decompress(options.output.read_bytes()), options.output.name)
        return
    text = make_text(options.deb.resolve() if options.deb else None)
    check_text(text, "text")
    packed = lzma.compress(text, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=9 | lzma.PRESET_EXTREME)
    options.output.write_bytes(packed)
    print(f"{options.output.name}: {len(packed):,} bytes, sha256 {hashlib.sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main()
