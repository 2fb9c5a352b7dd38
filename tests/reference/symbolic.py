#!/usr/bin/env python3
"""Looks for algebraic attacks on the scheme, in the generic bilinear group.

Whoever holds elements of the groups can compute exactly the linear combinations of their pairwise
pairings and of the elements of the target group. Exponents are polynomials in unknowns; a capsule
falls when the polynomial that masks it lies in that span. Every collusion of two users over two
authorities with two attributes each is tried, and the mistakes that others made are tried on
purpose: the finder must find those.

    tests/reference/symbolic.py            (some seconds, no packages needed)
"""
import itertools
import random
import sys

PRIME = (1 << 61) - 1
random.seed(20)


def unknown(name):
    return {(name,): 1}


def number():
    return {(): random.randrange(1, PRIME)}


ONE = {(): 1}


def plus(*terms):
    out = {}
    for term in terms:
        for monomial, c in term.items():
            out[monomial] = (out.get(monomial, 0) + c) % PRIME
    return {m: c for m, c in out.items() if c}


def times(a, b):
    out = {}
    for m, c in a.items():
        for n, d in b.items():
            both = tuple(sorted(m + n))
            out[both] = (out.get(both, 0) + c * d) % PRIME
    return {m: c for m, c in out.items() if c}


def minus(a):
    return {m: PRIME - c for m, c in a.items()}


def in_span(vectors, target):
    """Gaussian elimination over the monomials."""
    basis = {}

    def reduced(v):
        while v:
            lead = max(v)
            if lead not in basis:
                return v
            c = v[lead]
            v = plus(v, {m: PRIME - c * d % PRIME for m, d in basis[lead].items()})
        return v

    for vector in vectors:
        rest = reduced(vector)
        if rest:
            lead = max(rest)
            inverse = pow(rest[lead], PRIME - 2, PRIME)
            basis[lead] = {m: c * inverse % PRIME for m, c in rest.items()}
    return not reduced(target)


class World:
    """All that is public, and what the adversary has gathered."""

    def __init__(self, authorities, *, known=(), rogue=None, shared_coins=None, public_hash=False):
        self.alpha = {a: number() if a in known else unknown("alpha " + a) for a in authorities}
        self.y = {a: number() if a in known else unknown("y " + a) for a in authorities}
        if rogue:
            # The rogue's public key is another's inverse times a power that it knows.
            mine, victim = rogue
            self.alpha[mine] = plus(minus(self.alpha[victim]), number())
            self.y[mine] = plus(minus(self.y[victim]), number())
        self.shared_coins, self.public_hash = shared_coins, public_hash
        self.first, self.second = [ONE], [ONE] + list(self.y.values())
        self.target = list(self.alpha.values())
        self.numbers, self.masks = {}, []

    def hash(self, what):
        """A hash to the first group; with public_hash its logarithm is known, as in rabe."""
        if what not in self.numbers:
            self.numbers[what] = number() if self.public_hash else unknown("hash " + what)
            self.first.append(self.numbers[what])
        return self.numbers[what]

    def issue(self, user, attribute):
        authority = attribute[0]
        tau = unknown(f"tau {user} {attribute}")
        by_user = times(self.hash("gid " + user), self.y[authority])
        by_name = times(self.hash("attribute " + attribute), tau)
        self.first.append(plus(self.alpha[authority], by_user, by_name))
        self.second.append(tau)

    def capsule(self, clause):
        mask, C3 = {}, {}
        for row, attribute in enumerate(clause):
            coin = row if self.shared_coins is None else self.shared_coins(clause, row)
            t = unknown(f"t {len(self.masks)} {coin}")
            self.second.append(t)
            self.first.append(times(self.hash("attribute " + attribute), t))
            mask = plus(mask, times(self.alpha[attribute[0]], t))
            C3 = plus(C3, times(self.y[attribute[0]], t))
        self.second.append(C3)
        self.masks.append(mask)

    def falls(self, capsule=0, symmetric=False):
        """Says whether a capsule opens; symmetric gives the adversary a map between the groups."""
        first = second = self.first + self.second
        if not symmetric:
            first, second = self.first, self.second
        products = [times(p, q) for p in first for q in second]
        return in_span(products + self.target, self.masks[capsule])


def world(users, clauses, **how):
    w = World(["A", "B"], **how)
    for user, attributes in users.items():
        for attribute in attributes:
            w.issue(user, attribute)
    for clause in clauses:
        w.capsule(clause)
    return w


def same_for_all(_clause, _row):
    return 0


def same_across_authorities(clause, row):
    return sum(a[0] == clause[row][0] for a in clause[:row])


STORIES = [
    # what, world, whether it falls
    ("the keys of one user", world({"u": ["A1", "B1"]}, [["A1", "B1"]]), True),
    ("one key of two", world({"u": ["A1"]}, [["A1", "B1"]]), False),
    ("another attribute of the same authority", world({"u": ["A2", "B1"]}, [["A1", "B1"]]), False),
    ("three users with overlapping keys",
     world({"u": ["A1", "A2"], "v": ["A2", "B1"], "w": ["A1", "B1"]}, [["A1", "A2", "B1"]]), False),
    ("two clauses of a policy, half of each", world({"u": ["A1", "B2"]}, [["A1", "B1"], ["A2", "B2"]]), False),
    ("two capsules for one clause", world({"u": ["A1"], "v": ["B1"]}, [["A1", "B1"]] * 2), False),
    ("clauses that share an attribute",
     world({"u": ["A1"], "v": ["B1", "B2"]}, [["A1", "B1"], ["A1", "B2"]]), False),
    ("an authority of the clause turned, without keys of the other",
     world({"u": ["A2", "B1"]}, [["A1", "B1"]], known=["B"]), False),
    ("the only authority of the clause turned", world({}, [["B1", "B2"]], known=["B"]), True),
    ("a rogue public key", world({}, [["A1", "B1"]], rogue=("B", "A")), False),
    ("MISTAKE: one coin for all rows, two rows of one authority",
     world({"u": ["A1"]}, [["A1", "A2"]], shared_coins=same_for_all), True),
    ("MISTAKE: coins shared across authorities, and a rogue public key",
     world({}, [["A1", "B1"]], rogue=("B", "A"), shared_coins=same_across_authorities), True),
    ("MISTAKE: hashes with known logarithms, two users",
     world({"u": ["A1"], "v": ["B1"]}, [["A1", "B1"]], public_hash=True), True),
]


def stories():
    wrong = 0
    for what, w, expected in STORIES:
        falls = [w.falls(i) for i in range(len(w.masks))]
        fine = all(f == expected for f in falls)
        wrong += not fine
        print("ok  " if fine else "BAD ", "falls" if any(falls) else "holds", what)
    return wrong


def collusions():
    """Every clause, every two users of whom neither satisfies it, and the stronger adversary
    that can move between the source groups for clauses of one or two rows."""
    attributes = ["A1", "A2", "B1", "B2"]
    sets = [set(s) for n in range(5) for s in itertools.combinations(attributes, n)]
    tried = wrong = 0
    for rows in range(1, 5):
        for clause in itertools.combinations(attributes, rows):
            unable = [s for s in sets if not s >= set(clause)]
            for one, two in itertools.combinations_with_replacement(unable, 2):
                w = world({"u": sorted(one), "v": sorted(two)}, [clause])
                wrong += w.falls(symmetric=rows < 3)
                tried += 1
            wrong += not world({"u": list(clause)}, [clause]).falls()
    print(f"{tried} collusions of two users, {wrong} broken")
    return wrong


if __name__ == "__main__":
    sys.exit(stories() + collusions() != 0)
