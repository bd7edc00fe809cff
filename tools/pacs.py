#!/usr/bin/env python3
"""Makes one safetensors file of the PACS images, reduced to 64 × 64, for karat_vision. Needs Pillow.

    git clone https://github.com/MachineLearning2020/Homework3-PACS
    python3 tools/pacs.py Homework3-PACS/PACS pacs.safetensors [--side 64]

Tensors: images U8 [n, 3, side, side], labels and domains U8 [n]; metadata: the names of both, comma-separated. Images are
in the order of their paths, so the bytes depend on the folder alone. PACS: Li et al., ICCV 2017.
"""
import argparse
import json
import pathlib
import struct

from PIL import Image


def pixels(path, side):
    """[3, side, side] of an image, as bytes."""
    image = Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BOX)
    return b"".join(channel.tobytes() for channel in image.split())


def write(path, tensors, metadata):
    header, offset = {"__metadata__": metadata}, 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "U8", "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    scratch = path.with_suffix(".tmp")
    with scratch.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, data in tensors.values():
            file.write(data)
    scratch.rename(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="holds DOMAIN/CLASS/IMAGE")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--side", type=int, default=64)
    args = parser.parse_args()

    domains = sorted(path.name for path in args.folder.iterdir() if path.is_dir())
    classes = sorted({path.name for domain in domains for path in (args.folder / domain).iterdir() if path.is_dir()})
    images = sorted(path for path in args.folder.glob("*/*/*") if path.suffix in (".jpg", ".png"))
    if not images:
        parser.error(f"{args.folder}: no DOMAIN/CLASS/*.jpg or *.png")
    data = b"".join(pixels(path, args.side) for path in images)
    labels = bytes(classes.index(path.parent.name) for path in images)
    of_domain = bytes(domains.index(path.parent.parent.name) for path in images)
    n = len(images)
    write(args.out, {"images": ([n, 3, args.side, args.side], data), "labels": ([n], labels), "domains": ([n], of_domain)},
          {"domains": ",".join(domains), "classes": ",".join(classes)})
    print(f"{args.out}: {n} images of {len(classes)} classes in {len(domains)} domains")


if __name__ == "__main__":
    main()
