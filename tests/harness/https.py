"""Serve files over TLS at 127.0.0.1:443: ``python https.py DIRECTORY CERTIFICATE``.

The certificate's file also contains its key. The program prints a line on stdout once it listens.
"""

import ssl
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


def main(directory: str, certificate: str) -> None:
    """Serve until killed; log requests on stderr."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    handler = partial(SimpleHTTPRequestHandler, directory=directory)
    server = ThreadingHTTPServer(("127.0.0.1", 443), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print("listening", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
