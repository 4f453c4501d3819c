#!/usr/bin/env python3
"""TLS of ours against that of others: nginx, openssl, curl, CPython.

    tls.py TLS_PEER [WORD...]    runs the tests whose name contains one of the words, or all

Certificates are made anew, in a directory that is gone afterwards.
"""
import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

SECONDS = 20 * (5 if "SLOW" in os.environ else 1)
peer = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else None
directory = None


# ---- certificates -------------------------------------------------------------------------------


def path(name):
    return os.path.join(directory, name)


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def make_certificate(name, names="DNS:localhost", issuer=None, authority=False, days="2"):
    """name.pem and name.key; with an issuer, name-chain.pem too."""
    usage = "keyCertSign,cRLSign" if authority else "digitalSignature"
    with open(path("config"), "w", encoding="ascii") as file:
        file.write("[req]\ndistinguished_name=name\n[name]\n[extensions]\n"
                   f"basicConstraints=critical,CA:{str(authority).upper()}\n"
                   "subjectKeyIdentifier=hash\n" +
                   ("authorityKeyIdentifier=keyid\n" if issuer else "") +
                   f"keyUsage=critical,{usage}\n" +
                   (f"subjectAltName={names}\n" if names else ""))
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-config", "config",
            "-out", f"{name}.csr")
    signer = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial"] if issuer \
        else ["-signkey", f"{name}.key"]
    openssl("x509", "-req", "-in", f"{name}.csr", *signer, "-days", days, "-extfile", "config",
            "-extensions", "extensions", "-out", f"{name}.pem")
    if issuer:
        with open(path(f"{name}-chain.pem"), "w", encoding="ascii") as file:
            for one in (name, issuer):
                with open(path(f"{one}.pem"), encoding="ascii") as part:
                    file.write(part.read())


def make_certificates():
    make_certificate("root", None, authority=True)
    make_certificate("other", None, authority=True)
    make_certificate("intermediate", None, "root", authority=True)
    make_certificate("server", "DNS:localhost,IP:127.0.0.1", "intermediate")
    make_certificate("elsewhere", "DNS:example.com,IP:127.0.0.2", "root")
    make_certificate("expired", "DNS:localhost,IP:127.0.0.1", "root", days="-1")
    make_certificate("selfsigned", "DNS:localhost,IP:127.0.0.1")
    make_certificate("client", None, "root")


# ---- programs -----------------------------------------------------------------------------------


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def get(port, *arguments, ca="root.pem"):
    """What our client says."""
    trust = ["--ca", path(ca)] if ca else []
    done = subprocess.run([peer, "get", str(port), *trust, *arguments], capture_output=True,
                          text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


@contextlib.contextmanager
def program(command, port=None, **options):
    """Runs it; when it listens on the port, if one is given."""
    with subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          **options) as process:
        try:
            deadline = time.monotonic() + SECONDS
            while port and not is_open(port):
                assert process.poll() is None and time.monotonic() < deadline, command
                time.sleep(0.02)
            yield process
        finally:
            process.terminate()


def is_open(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def s_server(*arguments, identity="server", chain=True):
    """openssl s_server with a page, and its port."""
    port = free_port()
    intermediate = ["-cert_chain", f"{identity}-chain.pem"] if chain else []
    with program(["openssl", "s_server", "-accept", str(port), "-www", "-cert",
                  f"{identity}.pem", "-key", f"{identity}.key", *intermediate, *arguments], port):
        yield port


@contextlib.contextmanager
def our_server(*arguments, identity="server"):
    command = [peer, "serve", "--cert", path(f"{identity}-chain.pem"), "--key",
               path(f"{identity}.key"), *arguments]
    with program(command) as process:
        port = int(process.stdout.readline().split()[1])
        yield port
        process.send_signal(2)
        assert process.wait(SECONDS) == 0


@contextlib.contextmanager
def thread_server(serve):
    """serve(connection) for each connection, in a thread, and the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=run, args=[connection], daemon=True).start()

        def run(connection):
            with contextlib.suppress(OSError):
                serve(connection)
            connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path("server-chain.pem"), path("server.key"))
    return context


def client_context():
    return ssl.create_default_context(cafile=path("root.pem"))


def ok(line, version="TLSv1.3", alpn="-"):
    assert line.startswith(f"OK {version} {alpn} "), line


def refused(line, *wanted):
    assert all(one in line for one in wanted), line


# ---- our client ---------------------------------------------------------------------------------


def test_nginx():
    for version in ("TLSv1.2", "TLSv1.3"):
        port = free_port()
        with open(path("nginx.conf"), "w", encoding="ascii") as file:
            file.write(f"""
daemon off; pid {path('nginx.pid')}; error_log {path('nginx.log')}; events {{ }}
http {{ access_log off; client_body_temp_path {directory}; proxy_temp_path {directory};
fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
server {{ listen 127.0.0.1:{port} ssl; ssl_protocols {version};
ssl_certificate {path('server-chain.pem')}; ssl_certificate_key {path('server.key')};
location / {{ return 200 "hello\\n"; }} }} }}""")
        with program(["nginx", "-c", path("nginx.conf"), "-e", path("nginx.log"), "-p",
                      directory], port):
            ok(get(port), version)


def test_s_server():
    for option, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        with s_server(option) as port:
            ok(get(port), version)
            ok(get(port, "--name", "localhost"), version)


def test_alpn_of_s_server():
    with s_server("-alpn", "http/1.1") as port:
        ok(get(port, "--alpn", "h2,http/1.1"), alpn="http/1.1")
        ok(get(port))


def test_client_certificate():
    with s_server("-Verify", "1", "-CAfile", "root.pem", "-tls1_2") as port:
        ok(get(port, "--cert", path("client.pem"), "--key", path("client.key")), "TLSv1.2")
        refused(get(port), "ASYNCIO_ETLS:", "handshake failure")


def test_default_context_and_environment():
    with s_server() as port:
        os.environ["SSL_CERT_FILE"] = path("root.pem")
        try:
            ok(get(port, "--default", ca=None))
        finally:
            del os.environ["SSL_CERT_FILE"]
        refused(get(port, "--default", ca=None), "ASYNCIO_ETLSVERIFY:")


def test_insecure():
    with s_server(identity="selfsigned", chain=False) as port:
        ok(get(port, "--insecure", ca=None))


# ---- nine refusals ------------------------------------------------------------------------------


def test_refusal_1_wrong_host():
    with s_server(identity="elsewhere") as port:
        refused(get(port, "--name", "localhost"), "ASYNCIO_ETLSVERIFY: hostname mismatch",
                "example.com", "not for localhost")


def test_refusal_2_expired():
    with s_server(identity="expired") as port:
        refused(get(port), "ASYNCIO_ETLSVERIFY: certificate has expired", "CN=expired")


def test_refusal_3_self_signed():
    with s_server(identity="selfsigned", chain=False) as port:
        refused(get(port), "ASYNCIO_ETLSVERIFY: self-signed certificate", "CN=selfsigned")


def test_refusal_4_wrong_ca():
    with s_server() as port:
        refused(get(port, ca="other.pem"), "ASYNCIO_ETLSVERIFY: unable to get",
                "issuer certificate")


def test_refusal_5_wrong_ip():
    with s_server(identity="elsewhere") as port:
        refused(get(port), "ASYNCIO_ETLSVERIFY: IP address mismatch", "127.0.0.2",
                "not for 127.0.0.1")


def test_refusal_6_missing_intermediate():
    with s_server(chain=False) as port:
        refused(get(port), "ASYNCIO_ETLSVERIFY: unable to get local issuer certificate",
                "CN=server")


def test_refusal_7_truncation():
    def cut_off(connection):
        with server_context().wrap_socket(connection, server_side=True) as secure:
            secure.recv(1000)
            secure.sendall(b"HTTP/1.0 200 OK\r\n\r\nhalf of")
            socket.socket.close(secure)  # without close_notify

    with thread_server(cut_off) as port:
        refused(get(port), "got 26 bytes first", "ASYNCIO_EINCOMPLETE: ")


def test_refusal_8_old_protocol():
    with s_server("-tls1_1", "-cipher", "ALL:@SECLEVEL=0") as port:
        refused(get(port), "ASYNCIO_ETLS: ", "protocol")


def test_refusal_9_no_shared_cipher():
    with s_server("-tls1_2", "-cipher", "AES128-SHA256") as port:  # needs an RSA key
        refused(get(port), "ASYNCIO_ETLS: ", "handshake failure")


# ---- our server ---------------------------------------------------------------------------------


def s_client(port, *arguments):
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", "root.pem",
         "-verify_return_error", "-quiet", *arguments], cwd=directory, input=b"GET / \r\n\r\n",
        capture_output=True, timeout=SECONDS, check=False).stdout.decode()


def test_s_client():
    with our_server() as port:
        for option, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            assert s_client(port, option, "-verify_hostname", "localhost").endswith(
                f"\r\n\r\n{version} -\n"), version
        assert s_client(port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0") == ""


def test_alpn_of_s_client():
    with our_server("--alpn", "http/1.1") as port:
        assert s_client(port, "-alpn", "h2,http/1.1").endswith("TLSv1.3 http/1.1\n")
        assert s_client(port, "-alpn", "h2").endswith("TLSv1.3 -\n")


def test_certificates_of_s_client():
    with our_server("--verify", "--ca", path("root.pem")) as port:
        assert s_client(port, "-cert", "client.pem", "-key", "client.key").endswith("TLSv1.3 -\n")
        assert s_client(port) == ""
        assert s_client(port, "-cert", "selfsigned.pem", "-key", "selfsigned.key") == ""


def test_start_tls_of_s_client():
    with our_server("--smtp") as port:
        assert s_client(port, "-starttls", "smtp").endswith("TLSv1.3 -\n")


def test_curl():
    with our_server("--alpn", "http/1.1") as port:
        command = ["curl", "--silent", "--show-error", "--cacert", path("root.pem")]
        done = subprocess.run([*command, f"https://localhost:{port}/"], capture_output=True,
                              text=True, timeout=SECONDS, check=False)
        assert done.stdout == "TLSv1.3 http/1.1\n", done
        done = subprocess.run([*command, "--tls-max", "1.2", f"https://127.0.0.1:{port}/"],
                              capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.stdout == "TLSv1.2 http/1.1\n", done


# ---- CPython ------------------------------------------------------------------------------------


@contextlib.contextmanager
def asyncio_server(handler):
    """An asyncio server of TLS in a thread, and its port."""
    port, started = free_port(), threading.Event()
    loop = asyncio.new_event_loop()

    async def main():
        await asyncio.start_server(handler, "127.0.0.1", port, ssl=server_context())
        started.set()

    def run():
        loop.run_until_complete(main())
        loop.run_forever()

    threading.Thread(target=run, daemon=True).start()
    assert started.wait(SECONDS)
    yield port
    loop.call_soon_threadsafe(loop.stop)


async def answer(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 300_000)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def test_asyncio_server():
    with asyncio_server(answer) as port:
        line = get(port).split("\n")[0]
        ok(line)
        assert line.endswith(" 300019"), line


def test_tls_over_tls():
    if not hasattr(asyncio.StreamWriter, "start_tls"):
        return  # not before Python 3.11

    async def twice(reader, writer):
        await reader.readline()
        writer.write(b"yes\n")
        await writer.drain()
        await writer.start_tls(server_context())
        await answer(reader, writer)

    with asyncio_server(twice) as port:
        ok(get(port, "--twice", "--name", "localhost"))


def test_asyncio_client():
    async def main(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context())
        writer.write(b"GET /\r\n\r\n")
        page = await reader.read()
        writer.close()
        await writer.wait_closed()
        return page

    with our_server() as port:
        assert asyncio.run(main(port)).endswith(b"TLSv1.3 -\n")


# ---- bad peers ----------------------------------------------------------------------------------


def relay_bytes(source, target):
    with contextlib.suppress(OSError):
        while byte := source.recv(1):
            target.sendall(byte)
        target.shutdown(socket.SHUT_WR)


def test_torn_to_bytes():
    with s_server() as behind:
        def relay(connection):
            with socket.create_connection(("127.0.0.1", behind)) as other:
                for one in (connection, other):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                back = threading.Thread(target=relay_bytes, args=[other, connection])
                back.start()
                relay_bytes(connection, other)
                back.join()

        with thread_server(relay) as port:
            ok(get(port))


def test_stops_in_the_handshake():
    def stop(connection):
        connection.recv(10)
        connection.sendall(b"\x16\x03\x03\x00")
        time.sleep(SECONDS)

    with thread_server(stop) as port:
        refused(get(port, "--timeout", "0.3"), "ECONNABORTED: the TLS handshake took longer")


def test_goes_away_in_the_handshake():
    with thread_server(lambda connection: connection.recv(10)) as port:
        refused(get(port), "ECONNRESET: ")


# ---- running ------------------------------------------------------------------------------------


def main():
    global directory
    if peer is None:
        print(__doc__, file=sys.stderr)
        return 2
    tests = [(name, fn) for name, fn in globals().items() if name.startswith("test_")
             and (len(sys.argv) < 3 or any(word in name for word in sys.argv[2:]))]
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        make_certificates()
        for name, test in tests:
            if name == "test_nginx" and not shutil.which("nginx"):
                print("SKIPPED nginx: not installed")
                continue
            try:
                test()
                print(f"ok {name}", flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError, ssl.SSLError) as error:
                print(f"FAILED {name}: {error!r}", flush=True)
                failed += 1
    print(f"{len(tests)} tests, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
