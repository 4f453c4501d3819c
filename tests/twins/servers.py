"""servers.py KIND COMMAND... - runs a command in this network, beside servers for it.

    http     on 127.0.0.1:80, and on 127.0.0.3:80 one that answers with 404
    https    on 127.0.0.1:443, with the certificate in $TWIN_CERTIFICATES

All addresses of 127.0.0.0/8 are this host's; elsewhere nobody listens.  The network is one of its
own, whose loopback interface is down at first.
"""
import http.server
import os
import ssl
import subprocess
import sys
import threading


class Page(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(f"the page {self.path}\n".encode())

    do_HEAD = do_GET

    def version_string(self):
        return "twins"

    def date_time_string(self, timestamp=None):
        return "today"

    def log_message(self, *_):
        pass


class NoPage(Page):
    status = 404


class Server(http.server.ThreadingHTTPServer):
    def shutdown_request(self, request):
        """Says that TLS ends, which closing alone does not: a client must take that for a
        truncation."""
        if isinstance(request, ssl.SSLSocket):
            request = request.unwrap()
        super().shutdown_request(request)


def serve(address, handler, context=None):
    server = Server(address, handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main(kind, *command):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if kind == "http":
        serve(("127.0.0.1", 80), Page)
        serve(("127.0.0.3", 80), NoPage)
    else:
        directory = os.environ["TWIN_CERTIFICATES"]
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(f"{directory}/server.pem", f"{directory}/server.key")
        serve(("127.0.0.1", 443), Page, context)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
