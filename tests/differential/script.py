"""script.py - the small language of the differential test, as a tree; script.h describes it."""
import re

TOKEN = re.compile(r"\(|\)|[^()\s]+")
NEVER = "never"


class Node(list):
    """A list: its arguments, which are integers, NEVER, words (names of objects among them) and
    lists.  `number` is its place among the lists of the text."""

    __slots__ = ("name", "number", "op")

    def __init__(self, name, args=()):
        super().__init__(args)
        self.name = name

    def __str__(self):
        return "(" + " ".join([self.name, *map(str, self)]) + ")"

    def size(self):
        return 1 + sum(arg.size() if isinstance(arg, Node) else 1 for arg in self)


def read(text):
    """The tree of a text, which is one list."""
    tokens = TOKEN.findall(text)
    stack, numbers = [Node("")], 0
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token == "(":
            at += 1
            node = Node(tokens[at])
            node.number = numbers
            numbers += 1
            stack[-1].append(node)
            stack.append(node)
        elif token == ")":
            stack.pop()
        elif token[0] in "-0123456789":
            stack[-1].append(int(token))
        else:
            stack[-1].append(token)
        at += 1
    (root,) = stack[0]
    return root


def pretty(node, indent=0):
    """The text in lines, each at most one statement that fits."""
    line = str(node)
    if indent + len(line) <= 90:
        return " " * indent + line
    head = [node.name]
    rest = list(node)
    while rest and not isinstance(rest[0], Node):
        head.append(str(rest.pop(0)))
    lines = [" " * indent + "(" + " ".join(head)]
    lines += [pretty(arg, indent + 2) if isinstance(arg, Node) else " " * (indent + 2) + str(arg)
              for arg in rest]
    return "\n".join(lines) + ")"
