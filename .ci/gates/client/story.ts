// A year of an ISMS in a minute: a Plan–Do–Check–Act cycle through the generated client against a running service, and what else a
// client relies on: typed problems, retries, entity tags, pages, the past.
import { assets, connect, rename, type Isms } from "./client.js";
import type { components } from "./schema";

declare const process: { env: Record<string, string | undefined> };
type Problem = components["schemas"]["Problem"];

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is missing`);
  return value;
}
function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`not so: ${what}`);
}
function same<T>(given: T, wanted: T, what: string): void {
  check(JSON.stringify(given) === JSON.stringify(wanted), `${what}: ${JSON.stringify(given)} is not ${JSON.stringify(wanted)}`);
}

type Reply<T> = { data?: T; error?: Problem | undefined; response: Response };
/** The answer of a successful operation. */
async function done<T>(asked: Promise<Reply<T>>): Promise<T> {
  const { data, error, response } = await asked;
  if (data === undefined) throw new Error(`${response.url}: ${response.status} ${error?.code} ${error?.detail} ${JSON.stringify(error?.errors)}`);
  return data;
}
/** The answer of a refused one. */
async function refused<T>(asked: Promise<Reply<T>>, status: number, code: string): Promise<Problem> {
  const { error, response } = await asked;
  same(response.status, status, `status of ${response.url}`);
  check(error !== undefined, "a problem has a body");
  same([error.status, error.code], [status, code], "problem");
  return error;
}
/** The headers for changing a record that was read. */
const as = (record: { version: number }) => ({ "If-Match": `"${record.version}"` });
const to = (record: { id: string; version: number }) => ({ path: { id: record.id }, header: as(record) });

const url = setting("ISMS_URL");
const manager = connect(url, setting("ISMS_KEY"));

/** A second person, who sets their own password: you cannot approve your own request. */
async function second(): Promise<{ approver: Isms; auditor: Isms; director: string }> {
  const body = { email: setting("ISMS_EMAIL"), password: setting("ISMS_PASSWORD") };
  const admin = connect(url, (await done(connect(url, "").POST("/v1/auth/login", { body }))).access_token);
  const director = await done(manager.POST("/v1/people", { body: { name: "Managing director" } }));
  const user = await done(
    admin.POST("/v1/users", {
      body: { name: "Managing director", email: "director@example.org", roles: ["approver"], person_id: director.id },
    }),
  );
  check(typeof user.setup_token === "string", "a setup token is shown once");
  const setup = { setup_token: user.setup_token ?? "", password: crypto.randomUUID() };
  const { access_token } = await done(connect(url, "").POST("/v1/auth/setup", { body: setup }));
  await refused(connect(url, "").POST("/v1/auth/setup", { body: setup }), 401, "unauthenticated");
  const expires_at = new Date(Date.now() + 86_400_000).toISOString();
  const key = async (by: Isms, role: "approver" | "auditor", user_id: string | null) => {
    const { secret } = await done(by.POST("/v1/api-keys", { body: { name: `Key of the ${role}`, role, user_id, expires_at } }));
    check(typeof secret === "string", "a new key is shown once");
    return connect(url, secret);
  };
  // Only the person themselves can create a personal key.
  const login = connect(url, access_token);
  await refused(admin.POST("/v1/api-keys", { body: { name: "Not mine", role: "approver", user_id: user.id, expires_at } }), 403, "segregation_of_duties");
  return { approver: await key(login, "approver", user.id), auditor: await key(admin, "auditor", null), director: director.id };
}

async function plan(approver: Isms, director: string) {
  const draft = await done(
    manager.POST("/v1/scopes", { body: { name: "Online shop", statement: "Development and operation of the online shop." } }),
  );
  same(draft.status, "draft", "a new scope");
  const asked = await done(manager.POST("/v1/scopes/{id}/submit", { params: to(draft), body: { comment: "Please look at it." } }));
  await refused(manager.POST("/v1/scopes/{id}/approve", { params: to(asked) }), 403, "segregation_of_duties");
  const scope = await done(approver.POST("/v1/scopes/{id}/approve", { params: to(asked) }));
  same(scope.status, "approved", "the scope");

  const methods = await done(manager.GET("/v1/risk-methodologies"));
  const [method] = methods.data;
  check(method !== undefined && method.levels.length > 1 && method.matrix.length === method.likelihood_scale.length, "a methodology is there");

  const scope_ids = [scope.id];
  const asset = await done(
    manager.POST("/v1/assets", {
      body: {
        name: "Customer database", asset_type: "information", classification: "confidential", confidentiality: 4, integrity: 5,
        availability: 3, personal_data: true, scope_ids, custom: { cost_centre: 4711, encrypted: true, vendor: null },
      },
    }),
  );
  same(asset.custom, { cost_centre: 4711, encrypted: true, vendor: null }, "own members");
  const threat = await done(manager.POST("/v1/threats", { body: { name: "Phishing of accounts", origin: "deliberate" } }));
  const risk = await done(
    manager.POST("/v1/risks", {
      body: {
        name: "Customer data leaks through a stolen account", asset_ids: [asset.id], threat_ids: [threat.id], scope_ids,
        affected_properties: ["confidentiality"], owner_id: director,
      },
    }),
  );
  same([risk.inherent, risk.evaluation], [null, "not_assessed"], "a risk before its assessment");
  const inherent = await done(
    manager.POST("/v1/risks/{id}/assessments", {
      params: { path: { id: risk.id } },
      body: { stage: "inherent", likelihood: 4, impact: 5, rationale: "Passwords alone." },
    }),
  );
  same(inherent.level, "critical", "4 × 5");
  const then = await done(manager.GET("/v1/risks/{id}", { params: { path: { id: risk.id } } }));
  return { scope, asset, risk: then };
}

async function carryOut({ scope, risk }: Awaited<ReturnType<typeof plan>>) {
  const control = await done(
    manager.POST("/v1/controls", {
      body: {
        name: "Second factor for all accounts", implementation: "implemented", frequency: "continuous",
        requirements: ["iso-27001-2022:A.8.5", "iso-27001-2022:A.5.17"], scope_ids: [scope.id],
      },
    }),
  );
  const resting = await done(
    manager.PATCH("/v1/risks/{id}", {
      params: { path: { id: risk.id }, header: { ...as(risk), "Change-Reason": encodeURIComponent("The second factor is there.") } },
      body: { existing_control_ids: [control.id] },
    }),
  );
  await done(
    manager.POST("/v1/risks/{id}/assessments", {
      params: { path: { id: resting.id } },
      body: { stage: "current", likelihood: 2, impact: 5, rationale: "A password alone is no longer enough." },
    }),
  );
  const decision = await done(
    manager.PUT("/v1/scopes/{id}/applicability/{requirement}", {
      params: { path: { id: scope.id, requirement: "iso-27001-2022:A.8.30" }, header: { "If-Match": '"0"' } },
      body: { applicable: false, justification: "All development is done by own staff." },
    }),
  );
  same([decision.applicable, decision.version], [false, 1], "the decision");

  // A payload. Sent again with the same key, it gets the same answer and is stored once.
  const push = () =>
    manager.POST("/v1/evidence", {
      params: { header: { "Idempotency-Key": "accounts-1" } },
      body: {
        name: "Accounts with a second factor", source: "login-service", external_id: "second-factor", control_ids: [control.id],
        payload: { accounts: 42, with_second_factor: 42, sites: ["Kiel", "Jena"] },
      },
    });
  const first = await push();
  const again = await push();
  same([first.response.headers.get("Idempotency-Replayed"), again.response.headers.get("Idempotency-Replayed")], [null, "true"], "a replay");
  const evidence = await done(Promise.resolve(first));
  same((await done(Promise.resolve(again))).id, evidence.id, "the answer again");
  const other = manager.POST("/v1/evidence", {
    params: { header: { "Idempotency-Key": "accounts-1" } },
    body: { name: "Something else", source: "login-service", external_id: "other", payload: [7] },
  });
  await refused(other, 422, "idempotency_key_reused");

  // A file with its metadata. The generator has no type for bytes, so the form is built here.
  const file = new Blob(["restored 12 of 12\n"], { type: "text/plain" });
  const metadata: components["schemas"]["EvidenceMetadata"] = {
    name: "Restore test", source: "backup", external_id: "restore-test", requirements: ["iso-27001-2022:A.8.13"],
  };
  const uploaded = await done(
    manager.POST("/v1/evidence", {
      body: { metadata, file: "" },
      bodySerializer: () => {
        const form = new FormData();
        form.append("metadata", new Blob([JSON.stringify(metadata)], { type: "application/json" }));
        form.append("file", file, "restore.txt");
        return form;
      },
    }),
  );
  same([uploaded.size_bytes, uploaded.media_type], [file.size, "text/plain"], "the file");
  const bytes = await done(manager.GET("/v1/evidence/{id}/content", { params: { path: { id: uploaded.id } }, parseAs: "text" }));
  same(bytes, await file.text(), "its content");
  return control;
}

async function look(auditor: Isms, { scope, risk }: Awaited<ReturnType<typeof plan>>, control: string) {
  const place = { params: { path: { id: scope.id } } };
  const statement = await done(auditor.GET("/v1/scopes/{id}/statement-of-applicability", place));
  check(typeof statement === "object", "without a format it is JSON");
  same([statement.entries.length, statement.summary.excluded], [93, 1], "the statement of applicability");
  const met = statement.entries.find((entry) => entry.requirement === "iso-27001-2022:A.8.5");
  same([met?.implementation, met?.operation, met?.controls[0]?.id], ["implemented", "operating", control], "what the control meets");
  const csv = await done(
    auditor.GET("/v1/scopes/{id}/statement-of-applicability", {
      params: { ...place.params, query: { format: "csv" } },
      parseAs: "text",
    }),
  );
  check(typeof csv === "string", "a table is text");
  same(csv.trimEnd().split(/\r?\n/).length, 94, "the same as a table");

  // As it was before the control was added.
  const past = await done(auditor.GET("/v1/risks/{id}", { params: { path: { id: risk.id }, query: { as_of: risk.updated_at } } }));
  same([past.version, past.current, past.existing_control_ids], [risk.version, null, []], "the risk then");
  const now = await done(auditor.GET("/v1/risks/{id}", { params: { path: { id: risk.id } } }));
  same(now.current?.level, "high", "the risk now");
  const versions = await done(auditor.GET("/v1/risks/{id}/history", { params: { path: { id: risk.id } } }));
  check(versions.data.some((entry) => entry.reason === "The second factor is there."), "the history says why");
  const matrix = await done(auditor.GET("/v1/risk-matrix", { params: { query: { stage: "current" } } }));
  check(typeof matrix === "object", "without a format it is JSON");
  same(matrix.cells.find((cell) => cell.likelihood === 2 && cell.impact === 5)?.count, 1, "the matrix");
  await refused(auditor.POST("/v1/threats", { body: { name: "Mine" } }), 403, "forbidden");
}

async function act(approver: Isms) {
  const found = await done(
    manager.POST("/v1/nonconformities", {
      body: {
        name: "An account without a second factor", identified_through: "monitoring", severity: "minor",
        detected_on: new Date().toISOString().slice(0, 10), requirements: ["iso-27001-2022:A.8.5"],
      },
    }),
  );
  same(found.allowed_transitions.includes("contain"), true, "what can be done with it");
  const early = await refused(manager.POST("/v1/nonconformities/{id}/close", { params: to(found) }), 409, "illegal_transition");
  check(early.allowed.includes("contain"), "a problem says what is allowed");
  const contained = await done(
    manager.POST("/v1/nonconformities/{id}/contain", { params: to(found), body: { correction: "The account was closed." } }),
  );
  const analysed = await done(
    manager.POST("/v1/nonconformities/{id}/analyse", {
      params: to(contained),
      body: { root_cause: "Made by hand.", similar_cases: "None." },
    }),
  );
  const action = await done(
    manager.POST("/v1/actions", {
      body: { name: "Accounts come from the directory alone", origin_id: found.id, due_on: "2030-01-31" },
    }),
  );
  const planned = await done(manager.POST("/v1/nonconformities/{id}/plan", { params: to(analysed) }));
  const started = await done(manager.POST("/v1/actions/{id}/start", { params: to(action) }));
  await done(
    manager.POST("/v1/actions/{id}/complete", { params: to(started), body: { result: "The form for accounts is gone." } }),
  );
  const implemented = await done(manager.POST("/v1/nonconformities/{id}/implement", { params: to(planned) }));
  const verified = await done(
    approver.POST("/v1/nonconformities/{id}/verify", {
      params: to(implemented),
      body: { effective: true, comment: "Ten accounts looked at." },
    }),
  );
  const closed = await done(approver.POST("/v1/nonconformities/{id}/close", { params: to(verified) }));
  same([closed.status, closed.allowed_transitions], ["closed", []], "the nonconformity");
}

async function rely(auditor: Isms, asset: string) {
  // Pages: each record once, whatever their size.
  for (let n = 0; n < 24; n++) {
    await done(
      manager.POST("/v1/assets", { body: { name: `Laptop ${n}`, asset_type: "hardware", classification: "internal", tags: ["laptop"] } }),
    );
  }
  const seen: string[] = [];
  for await (const { id } of assets(manager, 7)) seen.push(id);
  same([seen.length, new Set(seen).size], [25, 25], "assets, page by page");
  const counted = await done(
    auditor.GET("/v1/assets", { params: { query: { tag: ["laptop", "phone"], limit: 1, include: "total,refs,counts" } } }),
  );
  same([counted.total, counted.has_more], [24, true], "counted");

  // 304 and 412.
  const path = { id: asset };
  const { response } = await auditor.GET("/v1/assets/{id}", { params: { path } });
  const tag = response.headers.get("ETag") ?? "";
  const fresh = await auditor.GET("/v1/assets/{id}", { params: { path, header: { "If-None-Match": tag } } });
  same(fresh.response.status, 304, "nothing new");
  same(await rename(manager, asset, "Database of customers"), 2, "a new name");
  const late = manager.PATCH("/v1/assets/{id}", { params: { path, header: { "If-Match": tag } }, body: { name: "Mine" } });
  await refused(late, 412, "version_mismatch");
  const changed = await auditor.GET("/v1/assets/{id}", { params: { path, header: { "If-None-Match": tag } } });
  same([changed.response.status, changed.data?.name], [200, "Database of customers"], "something new");

  // Every error is named.
  const wrong = await refused(
    manager.POST("/v1/assets", {
      body: { name: "", asset_type: "information", classification: "internal", confidentiality: 9, owner_id: "PER-404" },
    }),
    422,
    "validation_failed",
  );
  same([...new Set(wrong.errors.map((fault) => fault.pointer))].sort(), ["/confidentiality", "/name", "/owner_id"], "the faults");
  const nowhere = auditor.GET("/v1/assets/{id}", { params: { path: { id: "AST-404" } } });
  await refused(nowhere, 404, "not_found");
  await refused(connect(url, "isms_wrong").GET("/v1/me"), 401, "unauthenticated");

  // The overview, and the feed up to its end.
  const overview = await done(auditor.GET("/v1/overview"));
  same(overview.nonconformities, { closed: 1 }, "nonconformities by state");
  const kinds = new Set<string>();
  for (let after = -1; ; ) {
    const page = await done(auditor.GET("/v1/events", { params: { query: { limit: 20, ...(after < 0 ? {} : { after }) } } }));
    for (const { kind, seq } of page.data) {
      check(seq > after, "events come in order");
      if (kind) kinds.add(kind);
      after = seq;
    }
    if (!page.has_more) break;
  }
  for (const kind of ["scope", "risk", "evidence", "nonconformity", "action"]) check(kinds.has(kind), `the feed tells of ${kind}`);
}

const { approver, auditor, director } = await second();
const planned = await plan(approver, director);
const control = await carryOut(planned);
await look(auditor, planned, control.id);
await act(approver);
await rely(auditor, planned.asset.id);
console.log("the story ran to its end");
