"""Records for generated requests: values that a schema cannot generate, because they must exist and be in the right state.

A path's `{id}` is a record created from the document's example for its kind; STEPS lists the steps it goes through first. Other accounts than the
tested one create the records, so that another person is involved where one is required.
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

# (collection, verb): the steps (verb, body, account) that a fresh record goes through first. Anything not listed only needs a fresh record.
SUBMITTED = [("submit", COMMENT, "maker")]
IN_FORCE = SUBMITTED + [("approve", COMMENT, "approver")]
CONTAINED = [("contain", {"correction": "Corrected."}, "maker")]
ANALYSED = CONTAINED + [("analyse", {"root_cause": "By hand.", "similar_cases": "None."}, "maker")]
PLANNED = ANALYSED + [("+action", None, "maker"), ("plan", COMMENT, "maker")]
IMPLEMENTED = PLANNED + [("+done", None, "maker"), ("implement", COMMENT, "maker")]
SIGNED = SUBMITTED + [("sign", COMMENT, "manager")]
FROZEN = [("soa-versions", {**COMMENT, "allow_incomplete": True}, "maker")]  # nothing is decided in a fresh scope
STEPS = {
    ("scopes", "approve"): SUBMITTED,  # must be submitted, by somebody else
    ("scopes", "return"): SUBMITTED,
    ("scopes", "revise"): IN_FORCE,  # must be in force to have a next revision
    ("scopes", "retire"): IN_FORCE,
    ("scopes", "revisions"): IN_FORCE,  # a revision exists once approved
    ("scopes", "soa-versions"): FROZEN,
    ("scopes", "soa-versions/approve"): FROZEN,  # by another person than the one who froze it
    ("scopes", "soa-versions/return"): FROZEN,
    ("scopes", "soa-versions/withdraw"): FROZEN,
    ("scopes", "soa-diff"): FROZEN + [("soa-versions/1/approve", COMMENT, "approver")],  # since the version in force
    ("risk-methodologies", "approve"): SUBMITTED,
    ("risk-methodologies", "return"): SUBMITTED,
    ("risk-methodologies", "revise"): IN_FORCE,
    ("risk-methodologies", "retire"): IN_FORCE,
    ("risk-methodologies", "revisions"): IN_FORCE,
    ("risks", "reopen"): [("close", COMMENT, "maker")],
    ("risk-treatments", "sign"): SUBMITTED,  # the tested account owns the risk and signs what somebody else submitted
    ("risk-treatments", "return"): SUBMITTED,
    ("risk-treatments", "start"): SIGNED,
    ("risk-treatments", "complete"): SIGNED + [("start", COMMENT, "maker"), ("+scored", None, "maker")],  # a mitigation requires an assessment of its effect
    ("risk-treatments", "revoke"): SIGNED,  # an acceptance
    ("vulnerabilities", "reopen"): [("dismiss", COMMENT, "maker")],  # must be fixed or dismissed
    ("evidence", "release"): [("hold", COMMENT, "maker")],
    ("nonconformities", "analyse"): CONTAINED,  # the cycle of ISO/IEC 27001 10.2, step by step
    ("nonconformities", "plan"): ANALYSED + [("+action", None, "maker")],  # a plan has at least one action
    ("nonconformities", "implement"): PLANNED + [("+done", None, "maker")],  # the actions must be done
    ("nonconformities", "verify"): IMPLEMENTED,  # by another person than the one who did them
    ("nonconformities", "close"): IMPLEMENTED + [("verify", {"effective": True, "comment": "Seen."}, "approver")],
    ("nonconformities", "return"): IMPLEMENTED,
}
# Operations that use up something other than a record of a register, by operationId, and what the hook supplies.
OTHERS = {
    "login": "the e-mail and password of an existing account",
    "refresh": "a refresh token of a fresh login: each works once",
    "logout": "a refresh token of a fresh login",
    "changePassword": "the current password of a new user for each request: a change ends the sessions",
    "setUpLogin": "the setup token of a fresh account: each works once",
    "importAssets, importControls, importPeople, importRisks, importVulnerabilities": "the table in the document's example",
    "batch of a register": "items that create, upsert and change a record",
    "batchApplicability, batchGapAnswers": "requirements of a built-in framework, each once",
    "importFramework": "an unused slug",
    "importMappings, deleteFramework, getFrameworkRevision, compareFrameworkRevisions": "an imported framework",
    "reportFindings": "a scanner report, and an existing asset",
    "createApiKey": "an expiry within the lifetime of a key",
    "createUser": "an e-mail that no other account has",
    "updateUser": "an e-mail that no other account has",
    "getFramework": "the slug of a framework that is built in",
    "listRequirements": "the slug of a framework that is built in",
    "getApplicability": "a requirement of a framework that is built in",
    "putApplicability": "a requirement of a framework that is built in",
    "getGapAnswer, putGapAnswer": "a requirement of a framework that is built in",
    "getSoaVersion, approveSoaVersion, returnSoaVersion, withdrawSoaVersion": "the number of a version that was frozen",
    "getSoaDiff": "an approved version, and the current state",
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
    """The service under test, and the accounts that create the required records."""

    def __init__(self, url, document, keys):
        self.url, self.document, self.keys = urllib.parse.urlsplit(url), document, keys
        self.kept, self.made, self.number = {}, set(), itertools.count(1)
        self.connection = None

    def call(self, method, path, body=None, key="maker", headers=(), allow=()):
        """Sends one request as an account; raises an error unless the status is 2xx or in `allow`."""
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
                    self.keys["admin"] = self.logged_in()["access_token"]  # the previous one has expired
                    continue
                break
            except (OSError, http.client.HTTPException):
                self.connection = None
                if attempt == 2:
                    raise
        if answer.status >= 300 and answer.status not in allow:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")
        return json.loads(text) if text else None

    # --- the OpenAPI document -----------------------------------------------------------------------------------------------------------

    def resolved(self, schema):
        while "$ref" in schema:  # bodies contain no circles
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
        """Each kind: its path, its name as members refer to it, and an example."""
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
            body["owner_id"] = self.call("GET", "/v1/me", key="manager")["person_id"]  # a mitigation names its owner
        return body

    def risk_of_manager(self):
        """A risk owned by the tested manager, low enough that nobody else has to sign."""
        owner = self.call("GET", "/v1/me", key="manager")["person_id"]
        risk = self.call("POST", "/v1/risks", {**self.example("risks"), "owner_id": owner})["id"]
        self.scored(risk)
        return risk

    def scored(self, risk):
        self.call("POST", f"/v1/risks/{risk}/assessments", {"stage": "current", "likelihood": 1, "impact": 1, "rationale": "Seen."})

    def framework(self, removed=False):
        """An imported framework. One that is to be removed is never returned again."""
        slug = self.kept.get("framework")
        if removed or slug is None:
            slug = f"house-{uuid.uuid4().hex[:12]}"
            self.call("POST", "/v1/frameworks", {**self.schema_of_body("/v1/frameworks", "post")["example"], "slug": slug})
        if not removed:
            self.kept["framework"] = slug
        return slug

    def fresh(self, collection, verb=""):
        """A new record for one request, in the state that the verb requires."""
        admin = collection in ("users", "api-keys")
        body = self.example(collection)
        if (collection, verb) == ("risk-treatments", "revoke"):
            body = {"name": body["name"], "risk_id": body["risk_id"], "option": "accept", "justification": "Small.", "expires_on": day(90)}
        if collection == "risk-methodologies":  # only one can be in force for each scope, so each gets its own scope
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
        """A shared record, for requests that change nothing."""
        if (collection, verb) not in self.kept:
            self.kept[collection, verb] = self.fresh(collection, verb)
        return self.kept[collection, verb]

    def linked(self, collection, relation, about=None):
        """A record that a member may refer to, of the kind that its description names."""
        about = about or self.body_schema(collection)["properties"].get(relation, {}).get("description", "")
        kind = about.partition("Refers to records of the kind ")[2].partition(":")[0].rstrip(".")
        stem = relation.removesuffix("s").removesuffix("_id").split("_")[-1]
        return self.one(self.collection_of(kind or stem) or {"owner": "people"}.get(stem, "assets"))

    def setup_token(self):
        """The setup token of a new account."""
        return self.call("POST", "/v1/users", self.example("users"), "admin")["setup_token"]

    def newcomer(self):
        """The access token of a new account that has set its password."""
        return self.set_up(self.setup_token())

    def set_up(self, token):
        """Sets a first password; returns the access token of that login."""
        return self.call("POST", "/v1/auth/setup", {"setup_token": token, "password": LOGIN["password"]}, key=None)["access_token"]

    def logged_in(self):
        return self.call("POST", "/v1/auth/login", LOGIN, key=None)

    def read(self, path):
        """The entity tag of a record, for a decision: decisions require the version that was read."""
        return f'"{self.call("GET", path)["version"]}"'


def house():
    """Reads the environment that run.py prepared."""
    with open(os.environ["ISMS_CONTRACT"]) as file:
        said = json.load(file)
    with open(said["document"]) as file:
        document = json.load(file)
    return House(said["url"], document, said["keys"]), said
