"""drivers.py - how a program is run for its comparison: alone, on a terminal, or as one end of a
network whose other end is here.  Each driver takes a command and returns what was seen of it.

Programs have their ports built in.  Those that serve on 8888 and 9999 take turns by a lock; those
that connect to 80 and 443 run in a network of their own (unshare), where these ports are free.
"""
import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tty

LIMIT = 20  # seconds that a program may take
PORT, DATAGRAM_PORT = 8888, 9999
PORT_LOCK = "/tmp/libasyncio-tests-8888.lock"  # the torture run wants that port, too
LINES_BEFORE_SIGNAL = 8
HERE = pathlib.Path(__file__).resolve().parent
VIRTUAL = str(HERE / "virtual.py")
# Who is root needs no name space of users for it, which a chroot would not give.
OWN_NETWORK = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]


# ---- processes --------------------------------------------------------------------------------


def start(command, stdout=subprocess.PIPE, **more):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **more}
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
        text=True, env=environment)


def finish(process):
    """What it printed, and how it ended."""
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return f"{out}did not end within {LIMIT} s\n{err}"
    return out


def run_plainly(command):
    if "python" in command[0]:
        command = [command[0], VIRTUAL, *command[1:]]
    process = start(command, ASYNCIO_BACKEND="sim")
    out = finish(process)
    return f"{out}exit status {process.returncode}\n"


def read_terminal(terminal):
    try:
        return os.read(terminal, 4096).decode()
    except OSError:  # how a terminal says that nobody has it open any more
        return ""


def run_until_interrupt(command):
    """On a terminal, so that each line comes when it is printed; SIGINT after so many."""
    terminal, slave = os.openpty()
    tty.setraw(slave)
    process = start(command, stdout=slave)
    os.close(slave)
    out = ""
    while out.count("\n") < LINES_BEFORE_SIGNAL and (more := read_terminal(terminal)):
        out += more
    process.send_signal(signal.SIGINT)
    while more := read_terminal(terminal):
        out += more
    os.close(terminal)
    finish(process)
    return f"{out}exit status {process.returncode}\n"


# ---- servers ------------------------------------------------------------------------------------


@contextlib.contextmanager
def the_port(command):
    """The program, running, with the ports to itself; SIGINT ends it."""
    with open(PORT_LOCK, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start(command)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def connect():
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return socket.create_connection(("127.0.0.1", PORT), timeout=LIMIT)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def receive(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def talk_to_echo():
    """The client's view of an echo server: two connections at a time, small, large, half closed."""
    said = []
    with connect() as first, connect() as second:
        for connection, data in (first, b"hello"), (second, b"x" * 20000), (first, b"again"):
            connection.sendall(data)
            said.append(f"{len(data)} bytes come back: {receive(connection, len(data)) == data}")
        first.shutdown(socket.SHUT_WR)
        said.append(f"after the end: {first.recv(100)!r}")
    return said


def run_echo(command):
    with the_port(command) as process:
        try:
            said = talk_to_echo()
        except OSError as error:
            said = [f"failed: {error}"]
        process.send_signal(signal.SIGINT)  # both then end with an error, each in its own words
        said.append(finish(process))
    return "\n".join(said)


def exchange(connection, data):
    """Sends a datagram until it comes back: the server may not be there yet."""
    for _ in range(LIMIT * 10):
        with contextlib.suppress(ConnectionRefusedError, TimeoutError):
            connection.send(data)
            return connection.recv(65536)
        time.sleep(0.05)
    return None


def run_datagrams(command):
    said = []
    with the_port(command) as process, socket.socket(type=socket.SOCK_DGRAM) as connection:
        connection.settimeout(0.5)
        connection.connect(("127.0.0.1", DATAGRAM_PORT))
        for data in b"hello", b"", b"x" * 2000:
            said.append(f"{len(data)} bytes come back: {exchange(connection, data) == data}")
        process.send_signal(signal.SIGINT)
        said.append(finish(process))
    return "\n".join(said)


class Visitor:
    """Somebody in the chat room."""

    def __init__(self):
        self.connection = connect()
        self.lines = self.connection.makefile("r", encoding="ascii")

    def says(self, line):
        self.connection.sendall(line.encode() + b"\n")

    def hears(self):
        return self.lines.readline()

    def leaves(self):
        self.lines.close()
        self.connection.close()


def talk_in_room(process):
    heard = []
    ada, alan = Visitor(), Visitor()
    heard.append(ada.lines.read(len("Your name? ")))
    ada.says("Ada")
    ada.says("anybody here?")  # her coming was told to nobody
    heard.append(ada.hears())
    heard.append(alan.lines.read(len("Your name? ")))
    alan.says("Alan")
    heard.append(ada.hears())
    alan.says("yes")
    heard += [ada.hears(), alan.hears()]
    ada.leaves()
    heard.append(alan.hears())
    process.send_signal(signal.SIGINT)
    heard.append(alan.hears())
    alan.leaves()
    return heard


def run_chat(command):
    with the_port(command) as process:
        try:
            heard = talk_in_room(process)
        except OSError as error:
            heard = [f"failed: {error}"]
        out = finish(process)
    return "".join(heard) + f"{out}exit status {process.returncode}\n"


# ---- clients ------------------------------------------------------------------------------------


def run_in_network(command, server, **more):
    """The program in a network of its own, beside the servers that servers.py makes there."""
    servers = [sys.executable, str(HERE / "servers.py"), server]
    process = start([*OWN_NETWORK, *servers, *command], **more)
    out = finish(process)
    return f"{out}exit status {process.returncode}\n"


def run_fetches(command):
    """Each host once with a status or an error, in whatever order and words."""
    out = run_in_network([*command, "127.0.0.1", "localhost", "127.0.0.2", "127.0.0.3"], "http")
    lines = [line.rsplit("\r")[-1].split() for line in out.splitlines()]
    hosts = sorted(f"{words[0]} {words[1] if words[1].isdigit() else 'failed'}"
                   for words in lines if words and words[0][0] in "1l" and words[1] != "of")
    return "\n".join(hosts) + "\n" + "\n".join(" ".join(l) for l in lines if l[:2] == ["4", "of"]
                                               or l[:1] == ["exit"]) + "\n"


def run_https(command):
    """The page of a server that is trusted; and that another is not."""
    with tempfile.TemporaryDirectory() as directory:
        make_certificates(directory)
        trusted = run_in_network([*command, "localhost", "/page"], "https",
                                 SSL_CERT_FILE=f"{directory}/ca.pem", TWIN_CERTIFICATES=directory)
        other = run_in_network([*command, "localhost", "/page"], "https",
                               TWIN_CERTIFICATES=directory)
    return f"{trusted}{other}"


def make_certificates(directory):
    """A CA, and a certificate for localhost signed by it; valid for two days."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-addext", "keyUsage=critical,keyCertSign", "-keyout", "ca.key", "-out", "ca.pem",
            "-days", "2", "-subj", "/CN=Twins' CA")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    pathlib.Path(directory, "names").write_text(
        "subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\n", encoding="ascii")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-extfile", "names", "-days", "2", "-out", "server.pem")
