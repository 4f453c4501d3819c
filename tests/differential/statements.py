"""statements.py - random statements of script.py's language: how each is made."""
from script import NEVER, Node

DEPTH_MAX = 4

# Statements that may be executed by a callback: they do not suspend.
ACTIONS = ["cancel", "forgive", "fset", "ffail", "cancelf", "release", "notify", "notifyall", "set",
           "clear", "count", "breset", "babort", "putnow", "getnow", "taskdone", "shutdown",
           "gcancel", "spawn", "join", "launch", "look", "drop", "soon", "later", "result",
           "ondone", "undone", "let", "tell", "tell"]
NESTING = {"do", "repeat", "catch", "catchall", "finally", "timeout", "timeoutat", "waitfor",
           "group", "with", "withc", "letin"}


class Statements:
    """What a Generator makes; the depth is that of the blocks around.  None: it cannot be here."""

    def block(self, depth, least=1):
        most = 5 if depth == 0 else 3
        return [self.statement(depth + 1) for _ in range(self.random.randint(least, most))]

    def statement(self, depth):
        while True:
            name = self.random.choices(self.names, self.weights)[0]
            if depth < DEPTH_MAX or name not in NESTING:
                made = getattr(self, "make_" + name)(depth)
                if made is not None:
                    return made

    def action(self, depth):
        if depth > DEPTH_MAX + 1:
            return Node("count")
        likely = [name for kind in self.favourites for name in self.wakes[kind]
                  if name in ACTIONS]
        while True:
            name = self.random.choice(ACTIONS)
            if self.random.random() < 0.5:
                name = self.random.choice(likely + ["cancel"])
            made = getattr(self, "make_" + name)(depth + 1)
            if made is not None:
                return made

    def make_val(self, depth):
        return Node("val", [self.random.randrange(10)])

    def make_raise(self, depth):
        return Node("raise", [self.random.randint(1, 9)])

    def make_sleep(self, depth):
        return Node("sleep", [self.time()])

    def make_do(self, depth):
        return Node("do", self.block(depth))

    def make_repeat(self, depth):
        return Node("repeat", [self.random.randint(2, 3), *self.block(depth)])

    def tried(self, depth):
        block = self.block(depth)
        return block[0] if len(block) == 1 else Node("do", block)

    def make_catch(self, depth):
        return Node("catch", [self.tried(depth), *self.block(depth, 0)])

    def make_catchall(self, depth):
        return Node("catchall", [self.tried(depth), *self.block(depth, 0)])

    def make_finally(self, depth):
        return Node("finally", [self.tried(depth), *self.block(depth)])

    def made(self, choices, depth):
        """One of the statements, the first that can be made here."""
        for name in self.random.sample(choices, len(choices)):
            made = getattr(self, "make_" + name)(depth)
            if made is not None:
                return made
        return self.make_sleep(depth)

    def make_meeting(self, depth):
        """Wakes and cancellations in one step, so that one meets the other."""
        block = [self.make_sleep(depth)] if self.random.random() < 0.5 else []
        if self.random.random() < 0.5:
            # Who waits longest is woken, and cancelled before it runs.
            block.append(self.made(self.wakes[self.random.choice(self.favourites)], depth))
            block.append(Node("cancel", [self.pick("t0", "t0", "t1", "t2")]))
            return Node("do", block)
        for _ in range(self.random.randint(2, 4)):
            if self.random.random() < 0.45:
                block.append(self.made(["cancel", "cancel", "cancel", "forgive", "cancelf"], depth))
            else:
                block.append(self.made(self.wakes[self.random.choice(self.favourites)], depth))
        if self.random.random() < 0.3:
            block.append(Node("sleep", [self.time()]))
        return Node("do", block)

    def make_waiting(self, depth):
        """A wait of one of the program's kinds."""
        if depth >= DEPTH_MAX:
            return None
        return self.made(self.waits[self.random.choice(self.favourites)], depth)

    def make_raise_(self, depth):
        return self.make_raise(depth) if self.random.random() < 0.3 else self.make_val(depth)

    def make_call(self, depth):
        return Node("call", [self.later_body()]) if self.body < self.bodies else None

    def make_spawn(self, depth):
        if self.body == self.bodies:
            return None
        return Node("spawn", [self.slot(), self.later_body()])

    def make_eager(self, depth):
        if self.body == self.bodies:
            return None
        return Node("eager", [self.slot(), self.later_body()])

    def make_await(self, depth):
        return Node("await", [self.task()])

    def make_endof(self, depth):
        return Node("endof", [self.ref()])

    def make_awaitf(self, depth):
        return Node("await", [self.named("f", 4)])

    def make_cancel(self, depth):
        return Node("cancel", [self.task()])

    def make_cancelf(self, depth):
        return Node("cancel", [self.named("f", 4)])

    def make_cancelme(self, depth):
        return Node("cancelme")

    def make_uncancel(self, depth):
        return Node("uncancel")

    def make_forgive(self, depth):
        return Node("forgive", [self.task()])

    def make_result(self, depth):
        return Node("result", [self.ref()])

    def make_fset(self, depth):
        return Node("fset", [self.named("f", 4), self.random.randrange(10)])

    def make_ffail(self, depth):
        return Node("ffail", [self.named("f", 4), self.random.randint(1, 9)])

    def make_timeout(self, depth):
        return Node("timeout", [self.limit(), *self.block(depth)])

    def make_timeoutat(self, depth):
        return Node("timeoutat", [self.pick(NEVER, *range(8)), *self.block(depth)])

    def make_reschedule(self, depth):
        return Node("reschedule", [self.limit()])

    def make_waitfor(self, depth):
        return Node("waitfor", [self.limit(), *self.block(depth)])

    def make_waitforref(self, depth):
        return Node("waitforref", [self.limit(), self.ref()])

    def make_group(self, depth):
        name = self.pick("g0", "g0", "g1")
        block = self.block(depth)
        for _ in range(self.random.randint(0, 3) if self.body < self.bodies else 0):
            block.insert(self.random.randrange(len(block) + 1),
                         Node("join", [name, self.slot(), self.later_body()]))
        return Node("group", [name, *block])

    def make_join(self, depth):
        if self.body == self.bodies:
            return None
        return Node("join", [self.pick("g0", "g0", "g1"), self.slot(), self.later_body()])

    def make_gcancel(self, depth):
        return Node("gcancel", [self.pick("g0", "g0", "g1")])

    def of_bodies(self, name):
        if self.body == self.bodies:
            return None
        return Node(name, [self.later_body() for _ in range(self.random.randint(1, 3))])

    def make_gather(self, depth):
        return self.of_bodies("gather")

    def make_gatherall(self, depth):
        return self.of_bodies("gatherall")

    def make_gatherrefs(self, depth):
        return Node("gatherrefs", self.refs())

    def make_gatherrefsall(self, depth):
        return Node("gatherrefsall", self.refs())

    def make_shield(self, depth):
        return Node("shield", [self.ref()])

    def make_wait(self, depth):
        return Node("wait", [self.limit(), self.pick("all", "first", "exception"), *self.refs()])

    def make_each(self, depth):
        return Node("each", [self.limit(), *self.refs()])

    def make_open(self, depth):
        return Node("open", ["i0", self.limit(), *self.refs()])

    def make_next(self, depth):
        return Node("next", ["i0"])

    def make_soon(self, depth):
        return Node("soon", [self.pick("h0", "h1"), self.action(depth)])

    def make_later(self, depth):
        return Node("later", [self.pick("h0", "h1"), self.time(), self.action(depth)])

    def make_undone(self, depth):
        return Node("undone", [self.pick("h0", "h1")])

    def make_launch(self, depth):
        if self.body == self.bodies:
            return None
        return Node("launch", [self.pick("g0", "g0", "g1"), self.later_body()])

    def make_let(self, depth):
        return Node("let", [self.pick("v0", "v1"), self.random.randrange(1, 10)])

    def make_letin(self, depth):
        return Node("letin", [self.pick("v0", "v1"), self.random.randrange(1, 10),
                              *self.block(depth)])

    def make_tell(self, depth):
        return Node("tell", [self.pick("v0", "v1")])

    def make_drop(self, depth):
        return Node("drop", [self.pick("h0", "h1")])

    def make_ondone(self, depth):
        return Node("ondone", [self.pick("h0", "h1"), self.ref(), self.action(depth)])

    def lockable(self):
        letter = self.lock if self.random.random() < 0.9 else self.pick("l", "s", "c")
        return self.named(letter, 4 if letter == "s" else 3)

    def make_with(self, depth):
        return Node("with", [self.lockable(), *self.block(depth)])

    def make_acquire(self, depth):
        return Node("acquire", [self.lockable()])

    def make_release(self, depth):
        return Node("release", [self.lockable()])

    def make_withc(self, depth):
        name = self.named("c", 3)
        waits = self.pick(Node("cwait", [name]), Node("cwait", [name]),
                          Node("waituntil", [name, self.random.randint(1, 3)]))
        if self.random.random() < 0.4:
            waits = Node("timeout", [self.limit(), waits])
        block = self.block(depth, 0)
        block.insert(self.random.randrange(len(block) + 1), waits)
        return Node("with", [name, *block])

    def make_notifyin(self, depth):
        name = self.named("c", 3)
        told = self.pick(Node("notify", [name, self.random.randint(1, 2)]),
                         Node("notifyall", [name]))
        block = [Node("count"), told]
        if self.random.random() < 0.5:
            block.append(Node("sleep", [self.time()]))
        return Node("with", [name, *block])

    def make_waituntil(self, depth):
        return Node("waituntil", [self.named("c", 3), self.random.randint(0, 3)])

    def make_count(self, depth):
        return Node("count")

    def make_notify(self, depth):
        return Node("notify", [self.named("c", 3), self.random.randint(0, 2)])

    def make_notifyall(self, depth):
        return Node("notifyall", [self.named("c", 3)])

    def make_setclear(self, depth):
        name = self.named("e", 3)
        return Node("do", [Node("set", [name]), Node("clear", [name])])

    def make_ewait(self, depth):
        return Node("ewait", [self.named("e", 3)])

    def make_set(self, depth):
        return Node("set", [self.named("e", 3)])

    def make_clear(self, depth):
        return Node("clear", [self.named("e", 3)])

    def make_arrive(self, depth):
        return Node("arrive", [self.named("b", 3)])

    def make_breset(self, depth):
        return Node("breset", [self.named("b", 3)])

    def make_babort(self, depth):
        return Node("babort", [self.named("b", 3)])

    def make_put(self, depth):
        return Node("put", [self.named("q", 6), self.item()])

    def make_putnow(self, depth):
        return Node("putnow", [self.named("q", 6), self.item()])

    def make_get(self, depth):
        return Node("get", [self.named("q", 6)])

    def make_getnow(self, depth):
        return Node("getnow", [self.named("q", 6)])

    def make_taskdone(self, depth):
        return Node("taskdone", [self.named("q", 6)])

    def make_qjoin(self, depth):
        return Node("qjoin", [self.named("q", 6)])

    def make_shutdown(self, depth):
        return Node("shutdown", [self.named("q", 6), self.random.randrange(2)])

    def make_look(self, depth):
        letter, count = self.pick(("l", 3), ("c", 3), ("s", 4), ("b", 3), ("q", 6), ("f", 4))
        return Node("look", [self.named(letter, count)])
