#!/usr/bin/env python3
"""Recomputes every value of tests/known_answers/dabe_v1.json and compares byte by byte.

An implementation of its own, in pure Python on py_ecc, that shares no code with the product:
    python3 -m venv venv && venv/bin/pip install py_ecc==8.0.0
    venv/bin/python tests/reference/ref_rw15.py tests/known_answers/dabe_v1.json
"""
import hashlib
import json
import struct
import sys

from py_ecc.bls.hash import expand_message_xmd
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G1, compress_G2
from py_ecc.optimized_bls12_381 import G1, G2, add, curve_order, field_modulus, multiply, neg, pairing

SUITE = b"CHARTFS-MAABE-V1-"
GID_DST = SUITE + b"GID-BLS12381G1_XMD:SHA-256_SSWU_RO_"
ATTR_DST = SUITE + b"ATTR-BLS12381G1_XMD:SHA-256_SSWU_RO_"
COIN_DST = SUITE + b"COIN-XMD:SHA-256"
TAU_DST = SUITE + b"TAU-XMD:SHA-256"
ROW_LEN = 144

compared = 0


def check(what, ours, theirs):
    """Counts one value that is equal, or stops."""
    global compared
    if ours != theirs:
        sys.exit(f"{what} differs:\n  here   {ours.hex()}\n  there  {theirs.hex()}")
    compared += 1


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def g1_bytes(point):
    return compress_G1(point).to_bytes(48, "big")


def g2_bytes(point):
    high, low = compress_G2(point)
    return high.to_bytes(48, "big") + low.to_bytes(48, "big")


def gt_bytes(f):
    """Coefficients of w^0 to w^5 over the tower's Fp2, each as c0, c1."""
    c = [int(x) for x in f.coeffs]
    out = b""
    for i in range(6):
        out += ((c[i] + c[i + 6]) % field_modulus).to_bytes(48, "big")
        out += (c[i + 6] % field_modulus).to_bytes(48, "big")
    return out


def e(p, q):
    """The pairing of the product: the textbook one to the power -3, for the sign of the curve
    parameter and the cofactor 3 of the fast final exponentiation."""
    return pairing(q, p) ** (curve_order - 3)


def hash_to_g1(message, dst):
    return hash_to_G1(message, dst, hashlib.sha256)


def hash_to_scalar(message, dst):
    return int.from_bytes(expand_message_xmd(message, dst, 48, hashlib.sha256), "big") % curve_order


def short(text):
    return struct.pack("<H", len(text)) + text


def encoded(attribute):
    label = f"{attribute['name']}#{attribute['epoch']}"
    return short(attribute["authority"].encode()) + short(label.encode())


class Authority:
    def __init__(self, entry):
        self.secret = bytes.fromhex(entry["secret"])
        self.alpha = int.from_bytes(self.secret[:32], "big")
        self.y = int.from_bytes(self.secret[32:], "big")
        self.E = e(multiply(G1, self.alpha), G2)
        self.Y = multiply(G2, self.y)
        public = bytes.fromhex(entry["public"])
        check(f"E of {entry['name']}", gt_bytes(self.E), public[:576])
        check(f"Y of {entry['name']}", g2_bytes(self.Y), public[576:])
        self.id = sha256(public)
        check(f"id of {entry['name']}", self.id, bytes.fromhex(entry["id"]))


def check_key(entry, authorities):
    attribute, gid = entry["attribute"], bytes.fromhex(entry["gid"])
    authority = authorities[attribute["authority"]]
    seed = bytes.fromhex(entry["seed"])
    tau = hash_to_scalar(seed + authority.secret + gid + encoded(attribute), TAU_DST)
    K = add(multiply(G1, authority.alpha), multiply(hash_to_g1(gid, GID_DST), authority.y))
    K = add(K, multiply(hash_to_g1(encoded(attribute), ATTR_DST), tau))
    K_prime = multiply(G2, tau)
    key = bytes.fromhex(entry["key"])
    check(f"K of {attribute['name']}", g1_bytes(K), key[:48])
    check(f"K' of {attribute['name']}", g2_bytes(K_prime), key[48:])
    return K, K_prime


def header_of(rows, authorities, associated_data):
    names = sorted({row["authority"] for row in rows})
    ids = [authorities[name].id for name in names]
    length = struct.pack("<Q", len(associated_data))
    attributes = [encoded(row) for row in rows]
    return sha256(SUITE + b"HDR", struct.pack("<I", len(rows)), *attributes, *ids, length, associated_data)


def check_capsule(entry, authorities, keys, gid):
    rows, m = entry["rows"], bytes.fromhex(entry["seed"])
    n = len(rows)
    ciphertext = bytes.fromhex(entry["ciphertext"])
    header = header_of(rows, authorities, bytes.fromhex(entry["associated_data"]))
    coins = [hash_to_scalar(m + header + struct.pack("<I", x), COIN_DST) for x in range(n)]
    C2, C4, C3, Z = [], [], None, None
    for x, (row, t) in enumerate(zip(rows, coins)):
        authority = authorities[row["authority"]]
        C2.append(multiply(G2, t))
        C4.append(multiply(hash_to_g1(encoded(row), ATTR_DST), t))
        share, power = multiply(authority.Y, t), authority.E**t
        C3 = share if C3 is None else add(C3, share)
        Z = power if Z is None else Z * power
        at = x * ROW_LEN
        check(f"C2 of row {x} of {n}", g2_bytes(C2[x]), ciphertext[at : at + 96])
        check(f"C4 of row {x} of {n}", g1_bytes(C4[x]), ciphertext[at + 96 : at + ROW_LEN])
    tail = n * ROW_LEN
    check(f"C3 of {n} rows", g2_bytes(C3), ciphertext[tail : tail + 96])
    points = ciphertext[: tail + 96]
    mask = sha256(SUITE + b"MASK", header, points, gt_bytes(Z))
    masked = bytes(a ^ b for a, b in zip(m, mask))
    check(f"c of {n} rows", masked, ciphertext[tail + 96 : tail + 128])
    every = sha256(header, points, masked)
    check(f"commitment of {n} rows", sha256(SUITE + b"COMMIT", m, every), ciphertext[tail + 128 :])
    check(f"secret of {n} rows", sha256(SUITE + b"SECRET", m, every), bytes.fromhex(entry["secret"]))
    opened = e(neg(hash_to_g1(gid, GID_DST)), C3)
    for row, c2, c4 in zip(rows, C2, C4):
        K, K_prime = keys[encoded(row)]
        opened = opened * e(K, c2) * e(neg(c4), K_prime)
    check(f"Z of {n} rows by the keys", gt_bytes(opened), gt_bytes(Z))


def main():
    known = json.load(open(sys.argv[1]))
    authorities = {entry["name"]: Authority(entry) for entry in known["authorities"]}
    keys = {encoded(entry["attribute"]): check_key(entry, authorities) for entry in known["keys"]}
    gid = bytes.fromhex(known["keys"][0]["gid"])
    for entry in known["capsules"]:
        check_capsule(entry, authorities, keys, gid)
    print(f"{compared} values are equal byte for byte")


if __name__ == "__main__":
    main()
