#!/usr/bin/env python3
"""Generated requests (Schemathesis) against servers of this source, on SQLite and on PostgreSQL: run.py ISMS SCHEMATHESIS DOCUMENT FOLDER [NAME…]

Starts a server for each database with an organization and an account for each role, and sends requests as each account that the document allows and
that it does not. It fails for a failed check, for a 5xx answer, for a warning that data was missing, and for an operation that no account brought to 2xx.
"""
import collections
import concurrent.futures
import glob
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import fixtures  # noqa: E402

# Only as `admin`: managers cannot use `users`, `api-keys` and `organization`.
ADMINS = ["--include-tag", "users", "--include-tag", "api-keys", "--include-tag", "organization", "--include-tag", "auth"]
# A manager would get 403 for all of these. The auditor's runs cover that, as they include every operation.
OTHERS = ["--exclude-tag", "users", "--exclude-tag", "api-keys"]
# An auditor cannot change anything: 403 for valid and invalid requests alike, so not every value of every member is tried.
READS, WRITES = ["--include-method", "GET"], ["--exclude-method", "GET", "--phases", "examples,fuzzing"]
CASES = os.environ.get("ISMS_CASES", "")


RUNNING = []  # terminated when this process ends, however it ends


def ended(*_):
    for running in RUNNING:
        running.terminate()
    sys.exit(143)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what, log, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        if what():
            return
        time.sleep(0.05)
    raise SystemExit(f"the server does not answer:\n{log.read_text(errors='replace')[-4000:]}")


class Cluster:
    """A private PostgreSQL on a free local port, run as an unprivileged user."""

    def __init__(self, folder):
        asked = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True).stdout.strip() if shutil.which("pg_config") else ""
        found = [asked, *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)]
        bin_dir = next((d for d in found if d and os.path.exists(f"{d}/initdb") and os.path.exists(f"{d}/postgres")), None)
        if bin_dir is None:
            raise SystemExit("PostgreSQL is missing. Install it: apt-get install postgresql")
        folder.mkdir()
        self.port, as_user = free_port(), []
        if os.getuid() == 0:
            import pwd

            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                user = pwd.getpwnam("nobody")
            os.chown(folder, user.pw_uid, user.pw_gid)
            as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
        data, log = folder / "data", folder.parent / "postgresql.log"
        init = [*as_user, f"{bin_dir}/initdb", "-D", data, "-U", "isms", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(init, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        with open(log, "wb") as out:
            serve = [*as_user, f"{bin_dir}/postgres", "-D", data, "-k", folder, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
            self.process = subprocess.Popen(serve, cwd=folder, stdout=out, stderr=out)
        eventually(lambda: b"ready to accept connections" in log.read_bytes(), log)
        self.url = f"postgres://isms@127.0.0.1:{self.port}/postgres"

    def end(self):
        self.process.terminate()
        self.process.wait(30)


class Server:
    """A server built from this source, without a rate limit, and its accounts."""

    def __init__(self, isms, folder, database, document):
        folder.mkdir()
        self.log, port = folder / "log", free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = {k: v for k, v in os.environ.items() if not k.startswith(("ISMS_", "DATABASE_URL"))}
        settings |= {"ISMS_DATA_DIR": str(folder / "data"), "ISMS_BIND": f"127.0.0.1:{port}", "ISMS_RATE_LIMIT": "0", "ISMS_LOG": "warn"}
        if database:
            settings["DATABASE_URL"] = database
        create = [isms, "admin", "create", "--organization", "Example Shop", "--email", fixtures.LOGIN["email"], "--api-key"]
        made = subprocess.run(create, env=settings | {"ISMS_ADMIN_PASSWORD": fixtures.LOGIN["password"]}, check=True, capture_output=True)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([isms, "serve"], env=settings, stdout=out, stderr=out)

        def answers():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        eventually(answers, self.log)
        self.house = fixtures.House(self.url, document, {"manager": json.loads(made.stdout)["api_key"]})
        self.accounts()

    def accounts(self):
        """Creates the accounts that prepare records (`maker`, `approver`), and those that are tested."""
        house = self.house
        house.keys["admin"] = house.logged_in()["access_token"]
        for name, roles in (("maker", ["manager"]), ("approver", ["approver"]), ("auditor", ["auditor"])):
            person = house.call("POST", "/v1/people", {"name": name}, "manager")["id"]
            user = {"name": name, "email": f"{name}@example.org", "roles": roles, "person_id": person}
            made = house.call("POST", "/v1/users", user, "admin")
            user = made["id"]
            house.keys[name] = house.set_up(made["setup_token"])  # only the person themselves can create a personal key
            key = {"name": name, "role": roles[0], "user_id": user, "expires_at": fixtures.day(30) + "T00:00:00Z"}
            house.keys[name] = house.call("POST", "/v1/api-keys", key, name)["secret"]

    def end(self):
        self.process.terminate()
        self.process.wait(30)


def tested(server, schemathesis, document, folder, role, options):
    """Runs Schemathesis as one account; returns its exit status, output, notes and duration."""
    folder.mkdir()
    said, notes = folder / "contract.json", folder / "notes.ndjson"
    said.write_text(json.dumps({"url": server.url, "document": str(document), "keys": server.house.keys}))
    notes.touch()
    keys = server.house.keys
    environment = os.environ | {"ISMS_KEY": keys[role], "ISMS_CONTRACT": str(said), "ISMS_CONTRACT_NOTES": str(notes), "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [schemathesis, "--config-file", HERE / "schemathesis.toml", "run", document, "--url", server.url, *options]
    began = time.time()
    with open(folder / "words", "wb") as out:
        running = subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=out)
        RUNNING.append(running)
        status = running.wait()
    return status, (folder / "words").read_text(errors="replace"), [json.loads(line) for line in notes.read_text().splitlines()], time.time() - began


def main(isms, schemathesis, document_path, folder, *only):
    document_path = pathlib.Path(document_path).resolve()
    document = json.loads(document_path.read_text())
    operations = {o["operationId"] for item in document["paths"].values() for o in item.values()}
    # The access token of a login expires after 15 minutes, so `admin` runs first.
    kinds = [("admin", "", ADMINS, CASES or "4"), ("manager", "", OTHERS, CASES or "2"), ("auditor", ", reads", READS, CASES or "1"), ("auditor", ", writes", WRITES, CASES or "1")]
    runs = [(database, *kind) for database in ("sqlite", "postgresql") for kind in kinds if not only or f"{database}-{kind[0]}" in only]
    folder = pathlib.Path(folder)
    faults, reached = [], collections.Counter()
    cluster, servers = None, {}
    try:
        if any(database == "postgresql" for database, *_ in runs):
            cluster = Cluster(folder / "cluster")
        for database in dict.fromkeys(run[0] for run in runs):
            servers[database] = Server(isms, folder / database, cluster.url if database == "postgresql" else None, document)

        def of(database):
            # Runs on one server are sequential; both servers run at once.
            return [
                (name, what, tested(servers[database], schemathesis, document_path, folder / f"{database}-{n}", name, ["-n", cases, *options]))
                for n, (where, name, what, options, cases) in enumerate(runs)
                if where == database
            ]

        with concurrent.futures.ThreadPoolExecutor() as pool:
            done = dict(zip(servers, pool.map(of, servers)))
        for database, results in done.items():
            for role, what, (status, words, notes, took) in results:
                statuses = collections.Counter(note["status"] // 100 for note in notes)
                print(f"{database} as {role}{what}: {len(notes)} requests in {took:.0f} s, {', '.join(f'{n} × {s}xx' for s, n in sorted(statuses.items()))}")
                if status != 0:
                    print(words)
                    faults.append(f"{database} as {role}{what}: Schemathesis ended with {status}")
                faults += [f"{database} as {role}: {n['status']} to {n['operation']}" for n in notes if n["status"] >= 500]
                for note in notes:
                    if note["status"] < 300 and note["method"] == note["declared"]:
                        reached[note["operation"]] += role != "auditor"
            faults += [f"{database}: the server logged: {line}" for line in servers[database].log.read_text().splitlines() if " ERROR " in line or "panicked" in line]
    finally:
        for server in [*servers.values(), *([cluster] if cluster else [])]:
            server.end()
    never = sorted(operations - {name for name, n in reached.items() if n})
    faults += [f"never answered 2xx: {name}" for name in never] if not only else []
    print(f"{len(operations) - len(never)} of {len(operations)} operations answered 2xx")
    print("records supplied in the right state:", ", ".join(sorted(f"{c}/{v}" for c, v in fixtures.STEPS)))
    print("other values supplied:", "; ".join(f"{name}: {what}" for name, what in sorted(fixtures.OTHERS.items())))
    if faults:
        raise SystemExit("\n".join(["", *faults[:100]]))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, ended)
    if len(sys.argv) < 5:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
