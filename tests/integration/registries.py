"""What tests of registries need: docker-registry with TLS and logins, a token server, a cutting proxy, an authority."""
import base64
import hashlib
import http.server
import json
import os
import random
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse

from harness import wait_for


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Authority:
    """A certificate authority made for one test; its files lie in `directory`."""

    def __init__(self, directory, name="test authority"):
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self.certificate = directory + "/ca.crt"
        self.key = directory + "/ca.key"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                     "-subj", "/CN=" + name, "-keyout", self.key, "-out", self.certificate)

    @staticmethod
    def openssl(*arguments):
        subprocess.run(("openssl",) + arguments, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    def issue(self, name, names="IP:127.0.0.1,DNS:localhost"):
        """(certificate, key) for a server or a client."""
        base = self.directory + "/" + name
        with open(base + ".ext", "w") as file:
            file.write("subjectAltName=%s\n" % names)
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name,
                     "-keyout", base + ".key", "-out", base + ".csr")
        self.openssl("x509", "-req", "-in", base + ".csr", "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                     "-days", "2", "-extfile", base + ".ext", "-out", base + ".crt")
        return base + ".crt", base + ".key"


class Registry:
    """docker-registry on loopback, with its store in a directory of its own."""

    def __init__(self, directory, htpasswd=None, tls=None, client_authority=None, token=None):
        """`tls`: (certificate, key); `token`: a TokenServer that speaks for it."""
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self.process = None
        http_section = {"addr": "127.0.0.1:%d" % self.port}
        if tls:
            http_section["tls"] = {"certificate": tls[0], "key": tls[1]}
            if client_authority:
                http_section["tls"]["clientcas"] = [client_authority]
        config = {"version": 0.1, "log": {"level": "error", "accesslog": {"disabled": False}},
                  "storage": {"filesystem": {"rootdirectory": directory + "/data"}, "delete": {"enabled": True}},
                  "http": http_section}
        if htpasswd:
            config["auth"] = {"htpasswd": {"realm": "test", "path": htpasswd}}
        if token:
            config["auth"] = {"token": {"realm": token.url + "/token", "service": token.service, "issuer": token.issuer,
                                        "rootcertbundle": token.certificate}}
        with open(directory + "/config.yml", "w") as file:
            json.dump(config, file)  # JSON is YAML

    @property
    def host(self):
        return "127.0.0.1:%d" % self.port

    def start(self):
        with open(self.directory + "/log", "ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", self.directory + "/config.yml"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def ready():
            if self.process.poll() is not None:
                raise AssertionError("docker-registry ended: " + self.log()[-2000:])
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        wait_for(ready, 20, "the registry's port")
        return self

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def log(self):
        with open(self.directory + "/log", errors="replace") as file:
            return file.read()

    def requests(self, method, words=""):
        """Lines of the access log about berth's requests with that method and those words."""
        return [line for line in self.log().split("\n") if '"%s /' % method in line and words in line and '"berth/' in line]

    def blob_path(self, digest):
        return "%s/data/docker/registry/v2/blobs/sha256/%s/%s/data" % (self.directory, digest[7:9], digest[7:])


class Proxy:
    """Forwards TCP to a port, counts what comes from there, and acts at given numbers of bytes.

    `points`: a list of (bytes, action); an action is called once the count is beyond its bytes, while nothing else is
    forwarded, and says whether the connection that went beyond is to be reset."""

    def __init__(self, target_port, points=()):
        self.target_port = target_port
        self.received = 0
        self.sent = 0
        self.cuts_upward = []
        self.points = sorted(points, key=lambda point: point[0])
        self.lock = threading.Lock()
        self.listener = socket.socket()
        # What lies in buffers when a connection is cut has been counted and is lost.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.stop_reader, self.stop_writer = os.pipe()
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    @property
    def host(self):
        return "127.0.0.1:%d" % self.port

    def accept(self):
        while True:
            ready, _, _ = select.select([self.listener, self.stop_reader], [], [])
            if self.stop_reader in ready:
                return
            client, _ = self.listener.accept()
            thread = threading.Thread(target=self.serve, args=(client,))
            self.threads.append(thread)
            thread.start()

    def serve(self, client):
        # One thread for both directions: a close beside a thread that still receives would reset nothing.
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                return
            with server:
                try:
                    self.copy(client, server)
                except OSError:
                    pass

    def copy(self, client, server):
        client.settimeout(60)
        sources = [client, server]
        while True:
            ready, _, _ = select.select(sources + [self.stop_reader], [], [])
            if self.stop_reader in ready:
                return
            if client in ready:
                data = client.recv(65536)
                if not data:
                    return
                with self.lock:
                    self.sent += len(data)
                    reset = bool(self.cuts_upward) and self.sent >= self.cuts_upward[0]
                    if reset:
                        self.cuts_upward.pop(0)
                server.sendall(data)
                if reset:
                    self.reset(client)
                    return
            if server in ready:
                data = server.recv(16384)
                if not data:
                    return
                reset = False
                with self.lock:
                    self.received += len(data)
                    while self.points and self.received >= self.points[0][0]:
                        reset = self.points.pop(0)[1]() or reset
                client.sendall(data)
                if reset:
                    self.reset(client)
                    return

    def cut_upward(self, counts):
        """Resets the connection by which the bytes sent to the port go beyond each of `counts`."""
        self.cuts_upward = sorted(counts)

    @staticmethod
    def reset(client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self):
        os.write(self.stop_writer, b"x")
        for thread in self.threads:
            thread.join(10)
        self.listener.close()
        os.close(self.stop_reader)
        os.close(self.stop_writer)


def random_points(seed, count, total):
    chance = random.Random(seed)
    return sorted(chance.randrange(total // 50, total - total // 50) for _ in range(count)), chance


class Server(http.server.ThreadingHTTPServer):
    """An HTTP server of the test's own: `answer(handler)` answers every request; `seen` holds (method, path, headers)."""
    daemon_threads = True

    def __init__(self, answer, tls=None):
        self.seen = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                server.seen.append((self.command, self.path, dict(self.headers)))
                try:
                    answer(self)
                except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                    self.close_connection = True
            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_CONNECT = handle_any

            def say(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def host(self):
        return "127.0.0.1:%d" % self.server_address[1]

    @property
    def url(self):
        return "%s://%s" % (self.scheme, self.host)

    def handle_error(self, request, client_address):
        pass  # a client that went away, or that refuses our certificate

    def close(self):
        self.shutdown()
        self.thread.join(10)
        self.server_close()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """Gives tokens for docker-registry, signed by a certificate; `users`: name -> password; nobody's are for pulling."""
    service = "the test registry"
    issuer = "the test issuer"

    def __init__(self, authority, users, anonymous_pull=False):
        self.certificate, self.key = authority.issue("token-signer")
        self.users = users
        self.anonymous_pull = anonymous_pull
        self.scopes = []
        self.server = Server(self.answer)
        self.url = self.server.url

    def answer(self, handler):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(handler.path).query)
        user = ""
        authorization = handler.headers.get("Authorization", "")
        if authorization.startswith("Basic "):
            user, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
            if self.users.get(user) != password:
                return handler.say(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}')
        access = []
        for text in query.get("scope", []):
            self.scopes.append((user, text))
            kind, name, actions = text.split(":", 2)
            granted = actions.split(",") if user else (["pull"] if self.anonymous_pull else [])
            access.append({"type": kind, "name": name, "actions": granted})
        handler.say(200, json.dumps({"token": self.token(user, access), "expires_in": 300}).encode(),
                    Content_Type="application/json")

    def token(self, user, access):
        der = subprocess.run(["openssl", "x509", "-in", self.certificate, "-outform", "der"], check=True,
                             capture_output=True).stdout
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": user, "aud": self.service, "exp": now + 300, "nbf": now - 10, "iat": now - 10,
                  "jti": hashlib.sha256(os.urandom(16)).hexdigest(), "access": access}
        signed = base64url(json.dumps(header).encode()) + "." + base64url(json.dumps(claims).encode())
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], check=True, input=signed.encode(),
                                   capture_output=True).stdout
        return signed + "." + base64url(raw_signature(signature))

    def close(self):
        self.server.close()


def raw_signature(der):
    """The two numbers of an ECDSA signature, 32 bytes each, as JWS wants them."""
    at = 2
    numbers = []
    for _ in range(2):
        length = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2:at + 2 + length], "big").to_bytes(32, "big"))
        at += 2 + length
    return b"".join(numbers)
