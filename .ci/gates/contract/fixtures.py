"""Records for generated requests: what a schema cannot draw, because it has to be there, and in the right state.

A path's `{id}` is a record made from the example that the document has for its kind; STEPS says what it has to go through first. Records are made by
accounts beside the one that is tested, so that whoever must be another person is another person.
"""
import datetime
import http.client
import itertools
import json
import os
import urllib.parse
import uuid

COMMENT = {"comment": "For the check of the contract."}
LOGIN = {"email": "security@example.org", "password": "correct horse battery staple"}

# (collection, verb): the steps (verb, body, account) that a fresh record has to go through before. What is not here needs a fresh record alone.
SUBMITTED = [("submit", COMMENT, "maker")]
IN_FORCE = SUBMITTED + [("approve", COMMENT, "approver")]
CONTAINED = [("contain", {"correction": "Corrected."}, "maker")]
ANALYSED = CONTAINED + [("analyse", {"root_cause": "By hand.", "similar_cases": "None."}, "maker")]
PLANNED = ANALYSED + [("+action", None, "maker"), ("plan", COMMENT, "maker")]
IMPLEMENTED = PLANNED + [("+done", None, "maker"), ("implement", COMMENT, "maker")]
SIGNED = SUBMITTED + [("sign", COMMENT, "manager")]
FROZEN = [("soa-versions", {**COMMENT, "allow_incomplete": True}, "maker")]  # a fresh scope has nothing decided
STEPS = {
    ("scopes", "approve"): SUBMITTED,  # only what was submitted, and by somebody else
    ("scopes", "return"): SUBMITTED,
    ("scopes", "revise"): IN_FORCE,  # only what is in force has a next revision
    ("scopes", "retire"): IN_FORCE,
    ("scopes", "revisions"): IN_FORCE,  # a revision is what was approved
    ("scopes", "soa-versions"): FROZEN,
    ("scopes", "soa-versions/approve"): FROZEN,  # by another person than who froze it
    ("scopes", "soa-versions/return"): FROZEN,
    ("scopes", "soa-versions/withdraw"): FROZEN,
    ("scopes", "soa-diff"): FROZEN + [("soa-versions/1/approve", COMMENT, "approver")],  # since the version in force
    ("risk-methodologies", "approve"): SUBMITTED,
    ("risk-methodologies", "return"): SUBMITTED,
    ("risk-methodologies", "revise"): IN_FORCE,
    ("risk-methodologies", "retire"): IN_FORCE,
    ("risk-methodologies", "revisions"): IN_FORCE,
    ("risks", "reopen"): [("close", COMMENT, "maker")],
    ("risk-treatments", "sign"): SUBMITTED,  # the owner of the risk, who is tested, signs what somebody else submitted
    ("risk-treatments", "return"): SUBMITTED,
    ("risk-treatments", "start"): SIGNED,
    ("risk-treatments", "complete"): SIGNED + [("start", COMMENT, "maker"), ("+scored", None, "maker")],  # a mitigation has shown what it did
    ("risk-treatments", "revoke"): SIGNED,  # an acceptance
    ("vulnerabilities", "reopen"): [("dismiss", COMMENT, "maker")],  # only what is fixed or dismissed
    ("evidence", "release"): [("hold", COMMENT, "maker")],
    ("nonconformities", "analyse"): CONTAINED,  # the cycle of ISO/IEC 27001 10.2, a step after the other
    ("nonconformities", "plan"): ANALYSED + [("+action", None, "maker")],  # a plan is at least one action
    ("nonconformities", "implement"): PLANNED + [("+done", None, "maker")],  # which are done
    ("nonconformities", "verify"): IMPLEMENTED,  # by another person than who did them
    ("nonconformities", "close"): IMPLEMENTED + [("verify", {"effective": True, "comment": "Seen."}, "approver")],
    ("nonconformities", "return"): IMPLEMENTED,
}
# Operations that use up something other than a record of a register, by operationId, with what the hook gives them.
OTHERS = {
    "login": "the e-mail and password of an account that is there",
    "refresh": "a refresh token of a fresh login: one is good once",
    "logout": "a refresh token of a fresh login",
    "changePassword": "the present password of a user of its own, who asks once: a change ends the sessions",
    "setUpLogin": "the setup token of a fresh account: one is good once",
    "importAssets, importControls, importPeople, importRisks, importVulnerabilities": "the table of the document's example",
    "batch of a register": "items that create, upsert and change a record",
    "batchApplicability, batchGapAnswers": "requirements of a framework that is built in, each once",
    "importFramework": "a slug that is free",
    "importMappings, deleteFramework, getFrameworkRevision, compareFrameworkRevisions": "a framework that was imported",
    "reportFindings": "a report of a scanner, and an asset that is there",
    "createApiKey": "an end within the year that a key may last",
    "createUser": "an e-mail that no other account has",
    "updateUser": "an e-mail that no other account has",
    "getFramework": "the slug of a framework that is built in",
    "listRequirements": "the slug of a framework that is built in",
    "getApplicability": "a requirement of a framework that is built in",
    "putApplicability": "a requirement of a framework that is built in",
    "getGapAnswer, putGapAnswer": "a requirement of a framework that is built in",
    "getSoaVersion, approveSoaVersion, returnSoaVersion, withdrawSoaVersion": "the number of a version that was frozen",
    "getSoaDiff": "a version that was approved, and what is now",
    "getScopeRevision": "the number of a revision that was approved",
    "getRiskMethodologyRevision": "the number of a revision that was approved",
}
DECISIONS = ("approve", "sign", "verify", "close")  # they take no `If-Match: *`
FRAMEWORK, REQUIREMENT = "iso-27001-2022", "iso-27001-2022:A.5.18"


def day(distance):
    return (datetime.date.today() + datetime.timedelta(days=distance)).isoformat()


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class House:
    """The service under test, and the accounts that make what is needed."""

    def __init__(self, url, document, keys):
        self.url, self.document, self.keys = urllib.parse.urlsplit(url), document, keys
        self.kept, self.made, self.number = {}, set(), itertools.count(1)
        self.connection = None

    def call(self, method, path, body=None, key="maker", headers=(), allow=()):
        """One request by an account; what is not good and not allowed is an error."""
        sent = {"If-Match": "*", **dict(headers)}
        if body is not None:
            sent["Content-Type"] = "application/json"
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=30)
            try:
                if key:
                    sent["Authorization"] = "Bearer " + self.keys[key]
                self.connection.request(method, path, None if body is None else json.dumps(body), sent)
                answer = self.connection.getresponse()
                text = answer.read()
                if answer.status == 401 and key == "admin" and attempt == 1:
                    self.keys["admin"] = self.logged_in()["access_token"]  # the one before has ended
                    continue
                break
            except (OSError, http.client.HTTPException):
                self.connection = None
                if attempt == 2:
                    raise
        if answer.status >= 300 and answer.status not in allow:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")
        return json.loads(text) if text else None

    # --- what the document says ---------------------------------------------------------------------------------------------------------

    def resolved(self, schema):
        while "$ref" in schema:  # never a circle in bodies
            schema_of = self.document
            for part in schema["$ref"][2:].split("/"):
                schema_of = schema_of[part]
            schema = schema_of
        return schema

    def schema_of_body(self, path, method):
        content = self.document["paths"][path][method]["requestBody"]["content"]
        return self.resolved((content.get("application/json") or content["application/merge-patch+json"])["schema"])

    def body_schema(self, collection):
        return self.schema_of_body(f"/v1/{collection}", "post")

    def collections(self):
        """The kind's word, as members that refer to it say it, and its path."""
        for path, item in self.document["paths"].items():
            if path.count("/") == 2 and "post" in item and path + "/{id}" in self.document["paths"]:
                example = self.document["paths"][path + "/{id}"]["get"]["parameters"][0]
                yield path[4:], item["post"]["operationId"].removeprefix("create"), example.get("example")

    def collection_of(self, kind):
        wanted = kind.replace("_", "").lower()
        return next((path for path, name, _ in self.collections() if name.lower() == wanted), None)

    # --- records ------------------------------------------------------------------------------------------------------------------------

    def example(self, collection):
        body = json.loads(json.dumps(self.body_schema(collection)["example"]))
        n = next(self.number)
        body["name"] = f"{body.get('name', collection)} {n}"[:200]
        if collection == "evidence":
            body |= {"external_id": f"piece {uuid.uuid4().hex}", "payload": {"n": n}}
            body.pop("collected_at", None)
        if collection == "users":
            body |= {"email": f"{uuid.uuid4().hex}@example.org", "roles": ["auditor"]}
        if collection == "api-keys":
            body |= {"expires_at": day(30) + "T00:00:00Z"}
        if collection == "risk-treatments":
            body["expected"] = {"likelihood": 1, "impact": 1}
        if "detected_on" in body:
            body["detected_on"] = day(-1)
        if collection == "risk-treatments":
            body["risk_id"] = self.risk_of_manager()
            body["owner_id"] = self.call("GET", "/v1/me", key="manager")["person_id"]  # a mitigation names who does it
        return body

    def risk_of_manager(self):
        """A risk that the manager who is tested owns, low enough that nobody else has to sign."""
        owner = self.call("GET", "/v1/me", key="manager")["person_id"]
        risk = self.call("POST", "/v1/risks", {**self.example("risks"), "owner_id": owner})["id"]
        self.scored(risk)
        return risk

    def scored(self, risk):
        self.call("POST", f"/v1/risks/{risk}/assessments", {"stage": "current", "likelihood": 1, "impact": 1, "rationale": "Seen."})

    def framework(self, removed=False):
        """A framework of the organization's own; one that is removed is never given again."""
        slug = self.kept.get("framework")
        if removed or slug is None:
            slug = f"house-{uuid.uuid4().hex[:12]}"
            self.call("POST", "/v1/frameworks", {**self.schema_of_body("/v1/frameworks", "post")["example"], "slug": slug})
        if not removed:
            self.kept["framework"] = slug
        return slug

    def fresh(self, collection, verb=""):
        """A record of its own for one request, in the state that the verb needs."""
        admin = collection in ("users", "api-keys")
        body = self.example(collection)
        if (collection, verb) == ("risk-treatments", "revoke"):
            body = {"name": body["name"], "risk_id": body["risk_id"], "option": "accept", "justification": "Small.", "expires_on": day(90)}
        if collection == "risk-methodologies":  # one is in force for each scope, so each has one of its own
            body["scope_ids"] = [self.call("POST", "/v1/scopes", self.example("scopes"), "maker")["id"]]
        record = self.call("POST", f"/v1/{collection}", body, "admin" if admin else "maker")
        at, actions = f"/v1/{collection}/{record['id']}", []
        for step, body, who in STEPS.get((collection, verb), []):
            if step == "+action":
                actions.append(self.call("POST", "/v1/actions", {**self.example("actions"), "origin_id": record["id"]}, who)["id"])
            elif step == "+scored":
                self.scored(record["risk_id"])
            elif step == "+done":
                [self.call("POST", f"/v1/actions/{action}/complete", {"result": "Done."}, who) for action in actions]
            else:
                before, _, decision = f"{at}/{step}".rpartition("/")
                tag = {"If-Match": self.read(before)} if decision in (*DECISIONS, "soa-versions") else {}
                self.call("POST", f"{at}/{step}", body, who, tag)
        if verb == "restore":
            self.call("DELETE", at, None, "admin" if admin else "maker")
        return record["id"]

    def one(self, collection, verb=""):
        """A record that stays, for requests that change none."""
        if (collection, verb) not in self.kept:
            self.kept[collection, verb] = self.fresh(collection, verb)
        return self.kept[collection, verb]

    def linked(self, collection, relation, about=None):
        """What a member may refer to: a record of the kind that its description names."""
        about = about or self.body_schema(collection)["properties"].get(relation, {}).get("description", "")
        kind = about.partition("Refers to records of the kind ")[2].partition(":")[0].rstrip(".")
        stem = relation.removesuffix("s").removesuffix("_id").split("_")[-1]
        return self.one(self.collection_of(kind or stem) or {"owner": "people"}.get(stem, "assets"))

    def setup_token(self):
        """Of an account of its own."""
        return self.call("POST", "/v1/users", self.example("users"), "admin")["setup_token"]

    def newcomer(self):
        """The access token of an account of its own, which has set its password."""
        return self.set_up(self.setup_token())

    def set_up(self, token):
        """Sets a first password; the access token of that login."""
        return self.call("POST", "/v1/auth/setup", {"setup_token": token, "password": LOGIN["password"]}, key=None)["access_token"]

    def logged_in(self):
        return self.call("POST", "/v1/auth/login", LOGIN, key=None)

    def read(self, path):
        """The entity tag of a record, for a decision: it is about the version that was read."""
        return f'"{self.call("GET", path)["version"]}"'


def house():
    """From the environment that run.py made."""
    with open(os.environ["ISMS_CONTRACT"]) as file:
        said = json.load(file)
    with open(said["document"]) as file:
        document = json.load(file)
    return House(said["url"], document, said["keys"]), said
