"""shrink.py - the smallest program that still shows a difference.

Each round makes every program that is a little smaller than the best one, runs them on both sides,
and takes the smallest that still fails, until none does.
"""
import copy

import script
from script import NEVER, Node

# Statements whose first statement has to be there.
NEEDS_ONE = {"catch", "catchall", "finally", "soon", "later", "ondone"}
ROUNDS_MAX, AT_A_TIME = 200, 120


def smaller(tree):
    """Yields programs that are smaller, or simpler."""
    yield from without_a_body(tree)
    for path in list(paths(tree, ())):
        node = at(tree, path)
        parent = at(tree, path[:-1]) if path else None
        if parent is not None:
            if may_lack(parent, path[-1]):
                yield without(tree, path)
            if node.name == "body" and len(node) > 1:
                yield replaced(tree, path, [Node("body", node[len(node) // 2:])])
                yield replaced(tree, path, [Node("body", node[:len(node) // 2])])
            if node.name not in ("body", "program"):
                inner = [arg for arg in node if isinstance(arg, Node)]
                if inner and (len(inner) == 1 or may_lack(parent, path[-1])):
                    yield replaced(tree, path, inner)
        yield from simpler_arguments(tree, path, node)


def simpler_arguments(tree, path, node):
    for i, arg in enumerate(node):
        if isinstance(arg, int) and arg != 0:
            for less in {0, arg // 2, arg - 1} if arg > 0 else {0}:
                yield changed(tree, path, i, less)
        elif arg == NEVER:
            yield changed(tree, path, i, 0)
        elif arg in ("eager", "down") or (
                node.name in ("gather", "gatherall", "gatherrefs", "gatherrefsall", "wait", "each")
                and isinstance(arg, str) and arg[1:].isdigit() and len(node) > 1):
            yield without(tree, path + (i,))


def may_lack(parent, place):
    """Whether a statement may be taken out there; a body goes with its number."""
    if parent.name == "program":
        return False
    first = next(i for i, arg in enumerate(parent) if isinstance(arg, Node))
    return parent.name not in NEEDS_ONE or place > first


def without_a_body(tree):
    """Without one that nobody runs; the later ones move up."""
    run = names(tree)
    places = [i for i, arg in enumerate(tree) if isinstance(arg, Node)]
    for number, place in enumerate(places[1:], 1):
        if f"p{number}" not in run:
            moved = without(tree, (place,))
            renumber(moved, {f"p{i}": f"p{i - 1}" for i in range(number + 1, len(places))})
            yield moved


def renumber(node, names_for):
    for i, arg in enumerate(node):
        if isinstance(arg, Node):
            renumber(arg, names_for)
        else:
            node[i] = names_for.get(arg, arg)


def names(tree):
    found = set()
    for arg in tree:
        found |= names(arg) if isinstance(arg, Node) else {arg}
    return found


def paths(node, path):
    """The paths of all lists, outer ones first."""
    yield path
    for i, arg in enumerate(node):
        if isinstance(arg, Node):
            yield from paths(arg, path + (i,))


def at(tree, path):
    for i in path:
        tree = tree[i]
    return tree


def replaced(tree, path, nodes):
    made = copy.deepcopy(tree)
    at(made, path[:-1])[path[-1]:path[-1] + 1] = nodes
    return made


def without(tree, path):
    return replaced(tree, path, [])


def changed(tree, path, place, value):
    made = copy.deepcopy(tree)
    at(made, path)[place] = value
    return made


def weight(text):
    """Few statements first, then small numbers."""
    tree = script.read(text)
    numbers = sum(abs(arg) for path in paths(tree, ()) for arg in at(tree, path)
                  if isinstance(arg, int))
    return tree.size(), text.count(NEVER), numbers, text


def shrink(text, sides, hang=5):
    """The text of the smallest program found."""
    best = text
    for _ in range(ROUNDS_MAX):
        found = smaller_that_fails(best, sides, hang)
        if found is None:
            return best
        best = found
    return best


def smaller_that_fails(best, sides, hang):
    """The smallest first, some at a time."""
    candidates = {str(tree) for tree in smaller(script.read(best))}
    candidates = sorted((c for c in candidates if weight(c) < weight(best)), key=weight)
    for i in range(0, len(candidates), AT_A_TIME):
        some = candidates[i:i + AT_A_TIME]
        failing = [which for which, _, _ in sides.differing(some, hang)]
        if failing:
            return some[failing[0]]
    return None
