"""generate.py - random programs of script.py's language.

    generate.program(seed)     the text of one, the same on every machine

Programs are small, some ten to sixty statements in two to seven bodies, and touch few objects, so
that tasks meet.  Each has a few favourite kinds of statement, so that some are all queues and some
all cancellation.  Times are a few ticks, so that deadlines coincide.
"""
import random

import script
from script import NEVER, Node
from statements import Statements

# Kinds of statements and what they are made of: name and weight.
KINDS = {
    "tasks": [("spawn", 6), ("await", 5), ("endof", 1), ("eager", 1), ("look", 1),
              ("result", 2), ("call", 2)],
    "cancel": [("cancel", 6), ("cancelme", 1), ("uncancel", 2), ("forgive", 1), ("cancelf", 1)],
    "futures": [("awaitf", 4), ("fset", 2), ("ffail", 1), ("cancelf", 1), ("result", 1)],
    "timeouts": [("timeout", 6), ("timeoutat", 1), ("reschedule", 2), ("waitfor", 2),
                 ("waitforref", 3)],
    "groups": [("group", 5), ("join", 6), ("launch", 2), ("gcancel", 1)],
    "several": [("gather", 2), ("gatherall", 2), ("gatherrefs", 2), ("gatherrefsall", 2),
                ("shield", 4), ("wait", 4), ("each", 3)],
    "iterators": [("open", 3), ("next", 8), ("fset", 2), ("spawn", 2)],
    "callbacks": [("soon", 3), ("later", 3), ("drop", 1), ("ondone", 3), ("undone", 1)],
    "contexts": [("let", 4), ("letin", 3), ("tell", 5), ("soon", 2), ("spawn", 3)],
    "locks": [("with", 5), ("acquire", 2), ("release", 2), ("look", 1)],
    "conditions": [("withc", 4), ("waituntil", 1), ("count", 1), ("notify", 2), ("notifyall", 1),
                   ("notifyin", 3)],
    "events": [("ewait", 4), ("set", 3), ("clear", 2)],
    "barriers": [("arrive", 6), ("breset", 1), ("babort", 1), ("look", 1)],
    "queues": [("put", 4), ("putnow", 2), ("get", 6), ("getnow", 2), ("taskdone", 2), ("qjoin", 2),
               ("shutdown", 1), ("look", 1)],
}
# What lets another go on, and what it may meet: a cancellation before or after it, in one step.
WAKES = {
    "futures": ["fset", "ffail", "cancelf"], "locks": ["release"],
    "events": ["set", "set", "setclear"],
    "conditions": ["notifyin", "notify"], "barriers": ["arrive", "breset", "babort"],
    "groups": ["raise_", "gcancel"],
    "tasks": ["spawn"], "timeouts": ["fset"], "several": ["fset", "ffail"],
    "callbacks": ["fset"], "contexts": ["let"], "iterators": ["fset", "ffail", "cancelf"],
    "cancel": ["cancel"],
}
WAITS = {
    "futures": ["awaitf"], "locks": ["with", "acquire"], "events": ["ewait"],
    "conditions": ["withc"], "barriers": ["arrive"],
    "groups": ["group"], "tasks": ["await", "await", "endof"],
    "timeouts": ["timeout", "waitforref", "waitfor"],
    "several": ["gather", "gatherrefs", "shield", "wait", "each"],
    "callbacks": ["ondone"], "cancel": ["sleep"], "contexts": ["letin"],
    "iterators": ["next"],
}
# Of queues, by whether their tasks mostly put or mostly get: the waits, and what ends them.
PUTTERS = ["put", "put", "put", "put", "get", "qjoin"], ["getnow", "getnow", "get", "shutdown"]
GETTERS = (["get", "get", "get", "get", "put", "qjoin"],
           ["putnow", "putnow", "put", "taskdone", "shutdown"])
ALWAYS = [("sleep", 10), ("meeting", 8), ("waiting", 12), ("val", 1), ("raise", 2),
          ("catch", 2), ("catchall", 3), ("finally", 4),
          ("repeat", 2), ("do", 1)]


class Generator(Statements):
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.bodies = self.random.randint(2, 7)
        self.body = 0
        kinds = self.random.sample(sorted(KINDS), self.random.randint(1, 3))
        if self.random.random() < 0.3:
            kinds.append("groups")
        self.favourites = list(kinds)
        kinds += ["tasks", "cancel"] if self.random.random() < 0.8 else ["tasks"]
        self.slots = []
        self.waits, self.wakes = dict(WAITS), dict(WAKES)
        self.putters = self.random.random() < 0.5
        self.waits["queues"], self.wakes["queues"] = (PUTTERS if self.putters else GETTERS)
        self.pool = [entry for kind in kinds for entry in KINDS[kind]] + ALWAYS
        self.names = [name for name, _ in self.pool]
        self.weights = [weight for _, weight in self.pool]
        self.lock = self.pick("l", "l", "s", "s", "c")
        # The fewer objects, the more often tasks meet at one.
        self.spread = self.random.choice([1, 1, 1, 2, 6])
        self.times = self.random.choice([[0, 1], [0, 1, 2], [0, 0, 1, 2, 3, 5], [1, 2, 3, 4, 8]])
        self.object_of = {letter: self.random.randrange(6) for letter in "lcesbqf"}

    def pick(self, *choices):
        return self.random.choice(choices)

    # ---- arguments

    def named(self, letter, count):
        first = self.object_of[letter] % count
        return f"{letter}{(first + self.random.randrange(self.spread)) % count}"

    def slot(self):
        """Where a new task goes."""
        slot = f"t{self.random.choice([0, 0, 1, 1, 2, 3, 4])}"
        self.slots.append(slot)
        return slot

    def task(self):
        """One that is likely to be there: t7 is the first."""
        if self.body > 0 and self.random.random() < 0.15:
            return "t7"
        return self.random.choice(self.slots or ["t0"])

    def later_body(self):
        return f"p{self.random.randint(self.body + 1, self.bodies)}"

    def time(self):
        return self.random.choice(self.times)

    def limit(self):
        return self.pick(self.time(), self.time(), self.time(), self.time() + 3, NEVER, -1)

    def ref(self):
        return self.task() if self.random.random() < 0.7 else self.named("f", 4)

    def refs(self):
        return [self.ref() for _ in range(self.random.randint(1, 4))]

    def item(self):
        return self.random.randrange(40)

    # ---- the whole

    def make_any(self):
        """Anything anywhere."""
        for self.body in range(self.bodies + 1):
            block = self.block(0, 2 if self.body == 0 else 1)
            if self.body == 0:
                block = self.starts() + block
            yield Node("body", block)

    def make_contention(self):
        """The first task starts others, which mostly wait, and then wakes and cancels them."""
        self.body = 0
        meetings = [self.make_meeting(1) for _ in range(self.random.randint(1, 4))]
        held = self.held() if self.random.random() < 0.5 else []
        yield Node("body", held + self.starts() + meetings + self.block(2, 0))
        for self.body in range(1, self.bodies + 1):
            block = [self.wrapped_wait() for _ in range(self.random.randint(1, 2))]
            block[1:1] = self.block(2, 0)
            yield Node("body", block)

    def held(self):
        """What makes others wait: a lock taken, a queue that is full or has something."""
        if "queues" in self.favourites and self.putters:
            return [self.make_putnow(1) for _ in range(self.random.randint(1, 3))]
        if "iterators" in self.favourites:
            return [Node("open", ["i0", self.limit(), "f0", "f1", "f2", "f3"])]
        if "locks" in self.favourites:
            return [self.make_acquire(1)]
        return []

    def starts(self):
        """Some tasks, often of the same body, so that they wait for the same."""
        count, same = self.random.randint(1, 5), self.random.random() < 0.5
        body = self.later_body()
        starts = []
        for i in range(count):
            self.slots.append(f"t{i}")
            starts.append(Node("spawn", [f"t{i}", body if same else self.later_body()]))
        if self.random.random() < 0.7:
            starts.append(self.make_sleep(1))
        return starts

    def wrapped_wait(self):
        wait = self.made(self.waits[self.random.choice(self.favourites)], 2)
        how = self.pick(None, None, None, "catchall", "finally", "timeout")
        if how is None:
            return wait
        if how == "timeout":
            return Node("timeout", [self.limit(), wait])
        return Node(how, [wait, *self.block(2)])

    def make(self):
        parts = []
        if self.random.random() < 0.2:
            parts.append("down")
        if self.random.random() < 0.15:
            parts.append("eager")
        shape = self.make_contention if self.random.random() < 0.6 else self.make_any
        parts += shape()
        return Node("program", parts)


def program(seed):
    return str(Generator(seed).make())


if __name__ == "__main__":
    import sys

    print(script.pretty(script.read(program(int(sys.argv[1])))))
