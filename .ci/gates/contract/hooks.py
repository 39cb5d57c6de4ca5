"""Adjusts generated requests before they are sent, and records their answers.

A part generated to be invalid is never touched. A part generated to be valid gets the values that no schema can generate.
"""
import json
import os
import re
import urllib.parse
import uuid

import schemathesis
from fixtures import DECISIONS, FRAMEWORK, LOGIN, REQUIREMENT, STEPS, day, house, now

HOUSE, SAID = house()
NOTES = open(os.environ["ISMS_CONTRACT_NOTES"], "a", buffering=1)

# 422 is correct for data that follows its schema if a rule concerns several values or existing records. By the code of the error.
BEYOND_A_SCHEMA = {
    "unknown_reference": "an id or a code of something that does not exist",
    "order": "two dates, or the steps of a scale, are in the wrong order",
    "circle": "records would depend on themselves",
    "either": "two members exclude each other",
    "range": "a score must lie within the scales of the methodology in force",
    "required": "required only because of another member or the state",
    "state": "only valid with another member's value",
    "unknown_level": "the matrix names levels of the methodology",
    "unknown_dimension": "a score names dimensions of the methodology in force",
    "falls": "the matrix must not have a lower level for a higher likelihood or impact",
    "all_acceptable": "the matrix must have a pair that is not acceptable",
    "above_inherent": "a current score must not be above the inherent one",
    "below_current": "an inherent score must not be below the current one",
    "not_in_force": "an approval replaces what is in force for the same scopes",
    "shape": "the matrix must match the size of the scales",
    "tags": "a tag with a control character",
    "slug": "two equal names in a list",
    "invisible": "an identifier with an invisible character",
    "twice": "the same thing twice in a list",
    "same": "a requirement mapped to itself",
    "in_the_past": "must be after today",
    "in_the_future": "must be today or earlier",
    "version_mismatch": "the version of an item in a batch",
    "guessable": "a password that is easy to guess",
    "person_left": "a person whose last day has passed",
    "not_a_role_of_the_user": "a key must have one of its user's roles",
}

# The same for 400 and parameters, by operationId.
BEYOND_PARAMETERS = {
    "importFramework": "slug and title are query parameters only with a table",
    "getRiskTreatmentPlan": "the table has the whole plan, so it takes neither limit nor cursor",
    "getRiskTrend": "the span is bounded by two parameters and the step",
    "reportFindings": "a complete report must name an asset",
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Keeps a failure, unless it is a refusal that no schema can express."""
    if type(failure).__name__ == "RejectedPositiveData" and response.status_code == 422:
        codes = {fault["code"] for fault in response.json()["errors"]}
        return not codes or not codes <= BEYOND_A_SCHEMA.keys()
    if type(failure).__name__ == "RejectedPositiveData" and response.status_code == 400:
        return case.operation.definition.raw["operationId"] not in BEYOND_PARAMETERS
    if type(failure).__name__ == "UseAfterFree":
        # An archived record leaves the lists, not the ledger: its history remains, and `archived=any` still returns it.
        return place(case)[1] not in ("history", "restore") and (case.query or {}).get("archived") != "any"
    if type(failure).__name__ == "AcceptedNegativeData" and case.media_type == "multipart/form-data":
        return False  # any generated file is sent as bytes and is valid; tests/rooms/upload.rs covers the metadata
    if type(failure).__name__ == "AcceptedNegativeData" and case.method == "PATCH" and isinstance(case.body, dict):
        # RFC 7396: null clears a member at any depth; the schemas inside a member describe the result.
        return not any(None in member.values() for member in case.body.values() if isinstance(member, dict))
    return True


def good(case, part):
    """Was this part of the request generated to be valid (or not generated at all)?"""
    from schemathesis.core.parameters import ParameterLocation

    if case.meta is None:
        return True
    component = case.meta.components.get(getattr(ParameterLocation, part))
    return component is None or component.mode.value == "positive"


def place(case):
    """`/v1/scopes/{id}/soa-versions/{n}/approve` → ("scopes", "soa-versions/approve")."""
    parts = case.operation.path.split("/")
    return parts[2] if len(parts) > 2 else "", "/".join(part for part in parts[4:] if not part.startswith("{"))


@schemathesis.hook
def before_call(context, case, kwargs):
    name = case.operation.definition.raw.get("operationId", "")
    mode = case.meta.generation.mode.value if case.meta else "positive"
    if getattr(case.meta and case.meta.phase.data, "parameter", None) == "Authorization":
        return  # changing a header would bring it back
    if re.fullmatch("[!-~]{1,255}", str((case.headers or {}).get("Idempotency-Key", ""))):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex  # a new key for each call, or the service would repeat another answer
    if good(case, "HEADER") and case.headers:
        if "Change-Reason" in case.headers:
            case.headers["Change-Reason"] = percent(case.headers["Change-Reason"])
        case.headers.pop("Content-Digest", None)  # depends on the bytes sent; tests/rooms/upload.rs covers it
        if "If-Match" in case.headers and mode == "positive":
            case.headers["If-Match"] = "*"  # reach the code behind the precondition; 412 and 428 have separate tests
            if name == "createSoaVersion":
                case.headers.pop("If-Match")  # takes the version that was read, or none
        if "If-None-Match" in case.headers and case.headers["If-None-Match"].strip() == "*":
            case.headers["If-None-Match"] = '"0"'
    if good(case, "PATH") and case.path_parameters:
        fill(case, mode)
    decided = case.operation.path.rpartition("/")
    if decided[2] in DECISIONS and good(case, "HEADER") and case.headers and "If-Match" in case.headers and mode == "positive":
        path = decided[0].format(**case.path_parameters)
        case.headers["If-Match"] = HOUSE.read(path)
    if good(case, "QUERY") and case.query:
        query(case)  # after the path: `as_of` must not be before the record was created
    if case.media_type == "text/csv" and good(case, "BODY"):
        content = case.operation.definition.raw["requestBody"]["content"]["text/csv"]
        case.body = TABLES.get(name) or content["example"]  # no schema describes a table
    if name == "importFramework" and mode == "positive":
        (case.headers or {}).pop("If-Match", None)  # the framework does not exist yet
        table = case.media_type == "text/csv"
        case.query = {"slug": f"house-{uuid.uuid4().hex[:12]}", "title": "House rules"} if table else {}
    if good(case, "BODY") and isinstance(case.body, dict):
        body(case, name)
        if name == "changePassword":
            # A change ends every session of the user, so each request is sent as a new user. Headers in the settings override the case's.
            kwargs["auth"] = bearer(HOUSE.newcomer())


def bearer(token):
    """Sets the credential after all other headers."""

    def authorized(request):
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorized


def query(case):
    """Replaces parameters that are opaque or concern existing records, and keeps within 200 parameters: no schema can express these."""
    left = 150
    for name, value in list(case.query.items()):
        if isinstance(value, list):
            case.query[name] = value[:left]
        left -= len(value) if isinstance(value, list) else 1
        if left < 0 or case.query[name] == []:
            case.query.pop(name)
    case.query.pop("cursor", None)  # only the server makes valid ones
    if "wait" in case.query:
        case.query["wait"] = 0  # the feed would wait for nothing
    if str(case.query.get("after", "")).isdigit():
        case.query["after"] = min(int(case.query["after"]), 1)  # not beyond the end of the ledger
    if "as_of" in case.query:
        case.query["as_of"] = now()  # not later than now, not before the record was created
    for name, value in (("framework", FRAMEWORK), ("kind", "risk"), ("at_since", day(-1)), ("at_before", day(1)), ("record_id", "AST-1"), ("from", "1"), ("to", "live")):
        if name in case.query:
            case.query[name] = [value] if isinstance(case.query[name], list) else value
    if case.query.get("format") in ("cyclonedx", "trivy", "grype"):
        case.query["format"] = "sarif"  # the format of the report that is sent
    if isinstance(case.query.get("asset_id"), str):
        case.query["asset_id"] = HOUSE.one("assets")
    if isinstance(case.query.get("scope_id"), str):
        case.query["scope_id"] = HOUSE.one("scopes")


def percent(text):
    """Makes a reason valid: at most 2,000 characters, percent-encoded UTF-8."""
    return urllib.parse.quote(urllib.parse.unquote(str(text), errors="ignore").replace("\0", "")[:2000])


def fill(case, mode):
    """Puts records into the path parameters."""
    collection, verb = place(case)
    verb = verb if "{" in case.operation.path else ""
    linked = case.meta is not None and case.meta.phase.name.value == "stateful" and case.path_parameters.get("id") in HOUSE.made
    if "slug" in case.path_parameters:
        own = case.operation.method.upper() != "GET" or verb in ("revisions", "diff")
        removed = case.operation.method.upper() == "DELETE" and mode == "positive"
        case.path_parameters["slug"] = HOUSE.framework(removed) if own else FRAMEWORK
    if "requirement" in case.path_parameters:
        case.path_parameters["requirement"] = REQUIREMENT
    if "n" in case.path_parameters:
        case.path_parameters["n"] = 1
    if "id" not in case.path_parameters or linked:
        return
    consuming = mode == "positive" and case.operation.method.upper() != "GET"
    wanted = verb if verb in ("restore", "revisions") or (collection, verb) in STEPS else ""
    identifier = HOUSE.fresh(collection, wanted) if consuming else HOUSE.one(collection, wanted)
    case.path_parameters["id"] = identifier
    if "relation" in case.path_parameters:
        relation = case.path_parameters["relation"]
        target = HOUSE.linked(collection, relation)
        case.path_parameters["to"] = target
        if consuming:
            who = "admin" if collection == "users" else "maker"
            HOUSE.call("POST", f"/v1/{collection}/{identifier}/links", {"relation": relation, "to": target}, who)


def body(case, name):
    """Puts references to existing records into bodies generated to be valid."""
    case.body = mended(kept(case.body), case, name)


def kept(value):
    """Integers that every JSON reader preserves (RFC 7493): larger ones are refused everywhere. They must be written as integers: `7.0` is not one."""
    if isinstance(value, dict):
        return {name: kept(member) for name, member in value.items()}
    if isinstance(value, list):
        return [kept(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return 2**53 - 1 if isinstance(value, int) and abs(value) >= 2**53 else value


def mended(body, case, name):
    body = dict(body)
    collection, verb = place(case)
    if verb == "links":
        path = f"/v1/{collection}/{{id}}/links/{{relation}}/{{to}}"
        relations = next(p for p in HOUSE.document["paths"][path]["delete"]["parameters"] if p.get("name") == "relation")["schema"]["enum"]
        if {"relation", "to"} <= body.keys():
            body["relation"] = relations[len(str(body["to"])) % len(relations)]
            body["to"] = HOUSE.linked(collection, body["relation"])
    elif case.operation.path == f"/v1/{collection}/batch" and isinstance(body.get("items"), list):
        body = items_of_a_batch(body, collection)
    elif not verb and name not in OTHER_BODIES:
        for member, schema in HOUSE.schema_of_body(case.operation.path, case.operation.method.lower()).get("properties", {}).items():
            if member in body and "Refers to records" in schema.get("description", ""):
                target = HOUSE.linked(collection, member, schema["description"])
                body[member] = [target][: len(body[member])] if isinstance(body[member], list) else body[member] if body[member] is None else target
    else:
        body = OTHER_BODIES.get(name, lambda given: given)(body)
    if name in ("createUser", "updateUser") and "email" in body:
        body["email"] = f"{uuid.uuid4().hex}@example.org"
    if name == "updateApiKey":
        body.pop("user_id", None)  # it never changes
    if name in ("createUser", "updateUser", "createApiKey") and body.get("person_id", body.get("user_id")) is not None:
        body.pop("person_id", None), body.pop("user_id", None)
    if name == "importFramework":
        body |= {**HOUSE.schema_of_body(case.operation.path, "post")["example"], "slug": f"house-{uuid.uuid4().hex[:12]}"}
    if "expires_at" in body and name in ("createApiKey", "updateApiKey"):
        body["expires_at"] = day(30) + "T00:00:00Z"
    if body.get("limits"):
        body["limits"] = {k: v for k, v in body["limits"].items() if k not in ("scope_ids", "control_ids", "framework_slugs")}
    if body.get("time_zone") is not None:
        body["time_zone"] = "Europe/Berlin"
    if body.get("review_due_on") is not None:
        body["review_due_on"] = day(90)
    return body


def items_of_a_batch(given, collection):
    """As many items as were generated, of every form: the document leaves the content of an item to the schemas of single records."""
    ways = HOUSE.resolved(HOUSE.document["paths"][f"/v1/{collection}/batch"]["post"]["requestBody"]["content"]["application/json"]["schema"])
    ways = HOUSE.resolved(ways["properties"]["items"]["items"])["properties"]
    one = {"id": HOUSE.one(collection), "if_match": "*", "patch": {"tags": ["batch"]}}
    new = []
    if "create" in ways:
        new = [{"create": HOUSE.example(collection)}, {"upsert": {**HOUSE.example(collection), "external_ref": "batch"}}]
    given["items"] = [*new, *[one] * len(given["items"])][: len(given["items"])]
    return given


def about_requirements(given):
    """The generated items, each about an existing requirement that no other item of the batch names."""
    items = [item for item in given.get("items") or [] if isinstance(item, dict)][:37]  # A.5 has 37
    for n, item in enumerate(items, 1):
        item |= {"requirement": f"{FRAMEWORK}:A.5.{n}", "if_match": None}
        item |= {name: "Said." for name in ("justification", "note") if not str(item.get(name) or "").strip() and name in item}
    return {**given, "items": items}


def log_in(given):
    return LOGIN


def refreshed(given):
    return {"refresh_token": HOUSE.logged_in()["refresh_token"]}


TABLES = {"importFramework": "ref,title\r\n1,Access\r\n", "importMappings": f"source,target,relationship\r\n1.1,{REQUIREMENT},subset\r\n"}
OTHER_BODIES = {
    "login": log_in,
    "batchApplicability": about_requirements,
    "batchGapAnswers": about_requirements,
    "refresh": refreshed,
    "logout": refreshed,
    "reportFindings": lambda given: HOUSE.resolved({"$ref": "#/components/schemas/ScannerReport"})["examples"][0],
    "changePassword": lambda given: {"current_password": LOGIN["password"], "new_password": "nine blue tractors sing"},
    "approveRiskMethodology": lambda given: {k: v for k, v in given.items() if k != "replaces"},  # no other is in force for its scope
    "setUpLogin": lambda given: {"setup_token": HOUSE.setup_token(), "password": LOGIN["password"]},
}


@schemathesis.hook
def after_call(context, case, response):
    """Writes one line for each answer; run.py reads them."""
    try:
        answer = response.json() if "json" in (response.headers.get("content-type") or [""])[0] else {}
    except ValueError:
        answer = {}
    if isinstance(answer, dict) and isinstance(answer.get("id"), str):
        HOUSE.made.add(answer["id"])
    if case.operation.definition.raw.get("operationId") == "importFramework" and response.status_code < 300:
        HOUSE.call("DELETE", f"/v1/frameworks/{answer['slug']}")  # an organization has at most 100 of them
    meta = case.meta
    scenario = getattr(meta.phase.data, "scenario", None) if meta else None
    note = {
        "operation": case.operation.definition.raw.get("operationId", ""),
        "method": case.method,
        "declared": case.operation.method.upper(),
        "mode": meta.generation.mode.value if meta else "positive",
        "phase": meta.phase.name.value if meta else "",
        "scenario": scenario.value if scenario else "",
        "status": response.status_code,
        "took": round(response.elapsed, 4),
    }
    if response.status_code >= 400:
        note["problem"] = [answer.get("code"), [(e.get("pointer"), e.get("code"), e.get("detail")) for e in answer.get("errors", [])][:5], answer.get("detail")]
        note["sent"] = [dict(case.path_parameters or {}), dict(case.query or {}), repr(case.body)[:500]]
    NOTES.write(json.dumps(note, default=str) + "\n")
