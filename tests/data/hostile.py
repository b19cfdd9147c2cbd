"""Makes more than two hundred inputs that try to crash, hang, fill or leave the data layer."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from tests.data.conftest import moving_square, write_sound, write_video

FILMS = [
    ("a.mp4", "libx264", "yuv420p"),
    ("b.mkv", "ffv1", "bgr0"),
    ("c.webm", "libvpx-vp9", "yuv420p"),
    ("d.avi", "mjpeg", "yuvj420p"),
    ("e.mov", "prores_ks", "yuv422p10le"),
    ("f.ts", "mpeg2video", "yuv420p"),
    ("g.flv", "flv", "yuv420p"),
    ("h.wmv", "wmv2", "yuv420p"),
    ("i.mpg", "mpeg1video", "yuv420p"),
    ("j.gif", "gif", "rgb8"),
]
PICTURES = {"jpg": "JPEG", "png": "PNG", "bmp": "BMP", "webp": "WEBP"}
RANDOM = "mp4 m4v mov mkv webm avi gif mpg mpeg ts wmv flv ogv jpg jpeg png bmp webp npy npz zip"
PLAYLISTS = [
    b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
    b"ffconcat version 1.0\nfile '/etc/hostname'\n",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    b'<?xml version="1.0"?><MPD type="static"><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>',
    b"[InternetShortcut]\nURL=http://127.0.0.1:9/\n",
]


def flip(data, rng):
    where = rng.integers(0, len(data), max(1, len(data) // 200))
    data[where] = rng.integers(0, 256, len(where))
    return data


def flip_head(data, rng):
    where = rng.integers(0, min(600, len(data)), 6)
    data[where] = rng.integers(0, 256, len(where))
    return data


def cut(data, rng):
    return data[: rng.integers(1, len(data))]


def behead(data, rng):
    return data[rng.integers(1, len(data)) :]


def blank(data, rng):
    start, length = rng.integers(0, len(data)), rng.integers(1, len(data) // 3)
    data[start : start + length] = rng.choice([0, 255])
    return data


def remove(data, rng):
    start, length = rng.integers(0, len(data)), rng.integers(1, len(data) // 3)
    return np.delete(data, slice(start, start + length))


def repeat(data, rng):
    start, length = rng.integers(0, len(data)), rng.integers(1, len(data) // 3)
    return np.insert(data, start, data[start : start + length])


def grow(data, rng):
    """Makes a number in the header huge: a size, a count, a duration."""
    start = rng.integers(0, min(400, len(data) - 4))
    data[start : start + 4] = (255, 255, 255, rng.integers(0, 256))
    return data


WAYS = (flip, flip_head, cut, behead, blank, remove, repeat, grow)


def mutations(data, seed, rounds):
    """Yields (name, damaged bytes)."""
    for number in range(rounds):
        for way in WAYS:
            rng = np.random.default_rng([seed, number, WAYS.index(way)])
            damaged = way(np.frombuffer(data, np.uint8).copy(), rng)
            yield f"{way.__name__}{number}", damaged.tobytes()


def make_films(folder):
    """Writes damaged video files into one folder."""
    folder.mkdir()
    whole = folder.parent / "whole"
    whole.mkdir()
    for seed, (name, codec, pix_fmt) in enumerate(FILMS):
        path = write_video(whole / name, moving_square(20), codec, pix_fmt=pix_fmt)
        for how, data in mutations(path.read_bytes(), seed, rounds=4):
            (folder / f"{path.stem}_{how}{path.suffix}").write_bytes(data)
    for number, text in enumerate(PLAYLISTS):
        (folder / f"playlist{number}.ts").write_bytes(text)
    rng = np.random.default_rng(0)
    for suffix in RANDOM.split()[:13]:
        (folder / f"random.{suffix}").write_bytes(rng.bytes(5000))
        (folder / f"empty.{suffix}").write_bytes(b"")
    write_sound(folder / "sound.mkv")
    huge = bytearray((whole / "e.mov").read_bytes())
    struct.pack_into(">HH", huge, huge.index(b"stsd") + 44, 65535, 65535)
    (folder / "huge.mov").write_bytes(huge)
    return folder


def encoded(kind, seed=0):
    """Returns a picture as a file of its kind."""
    data = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(data, PICTURES[kind])
    return data.getvalue()


def make_pictures(folder):
    """Writes folders of frames of which one is damaged, and pictures that claim too much."""
    for kind in PICTURES:
        for how, data in mutations(encoded(kind), seed=100, rounds=1):
            video = folder / f"{kind}_{how}"
            video.mkdir(parents=True)
            for t in range(3):
                (video / f"{t}.{kind}").write_bytes(data if t == 1 else encoded(kind))
    rng = np.random.default_rng(0)
    for suffix in RANDOM.split()[13:18]:
        (folder / f"random_{suffix}").mkdir()
        (folder / f"random_{suffix}" / f"0.{suffix}").write_bytes(rng.bytes(3000))
    claims = bytearray(encoded("png"))
    struct.pack_into(">LL", claims, 16, 2**31 - 1, 2**31 - 1)
    struct.pack_into(">L", claims, 29, zlib.crc32(claims[12:29]))
    (folder / "claims").mkdir()
    (folder / "claims" / "0.png").write_bytes(claims)
    (folder / "script").mkdir()
    (folder / "script" / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    return folder


def _zip(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def make_archives(folder):
    """Writes archives, each hostile in one way, and returns them."""
    folder.mkdir()
    good = [(f"v/{t}.png", encoded("png", t)) for t in range(3)]
    names = ("../x.png", "v/../../x.png", "/x.png", "/etc/x.png", "..\\x.png", "C:\\x.png", "..")
    made = [_zip(folder / f"name{i}.zip", [*good, (n, b"x")]) for i, n in enumerate(names)]
    zeros = b"\0" * 2**22
    made.append(_zip(folder / "bomb.zip", [("v/0.png", zeros)], zipfile.ZIP_DEFLATED))
    made.append(_zip(folder / "bomb.npz", [("video.npy", zeros)], zipfile.ZIP_DEFLATED))
    nested = {"labels": {"v/0.png": 1}}
    made.append(_zip(folder / "label.zip", [*good, ("dataset.json", "[" * 10**5)]))
    made.append(_zip(folder / "labels.zip", [*good, ("dataset.json", json.dumps([nested]))]))
    lists = ('{"../..": ["etc/passwd"]}', '{"v": [0]}', '{"v": null}', "nul")
    for number, text in enumerate(lists):
        made.append(_zip(folder / f"list{number}.zip", [*good, ("frame_paths.json", text)]))
    for number, mode in enumerate((0o120777, 0o010644, 0o060644)):
        entry = zipfile.ZipInfo("v/3.png")
        entry.external_attr = mode << 16
        made.append(_zip(folder / f"mode{number}.zip", [*good, (entry, "/etc/passwd")]))
    whole = (folder / "whole.zip", good)
    data = bytearray(_zip(*whole).read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (folder / "encrypted.zip").write_bytes(data)
    made += [folder / "encrypted.zip"]
    for how, damaged in mutations((folder / "whole.zip").read_bytes(), seed=200, rounds=3):
        made.append(folder / f"{how}.zip")
        made[-1].write_bytes(damaged)
    for suffix in RANDOM.split()[18:]:
        made.append(folder / f"random.{suffix}")
        made[-1].write_bytes(np.random.default_rng(1).bytes(3000))
    return made


def make_arrays(folder):
    """Writes damaged arrays and returns them."""
    folder.mkdir()
    path = folder / "whole.npy"
    np.save(path, moving_square(4)[None])
    made = []
    for how, damaged in mutations(path.read_bytes()[:400], seed=300, rounds=2):
        made.append(folder / f"{how}.npy")
        made[-1].write_bytes(damaged)
    shapes = ("(2**70,1,1,1,3)", "(10**12, 1, 1, 1, 3)", "(-1, 1, 1, 1, 3)", "('a',)")
    for number, shape in enumerate(shapes):
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        made.append(folder / f"shape{number}.npy")
        made[-1].write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    return made
