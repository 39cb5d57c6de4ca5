// The page of the document: operations by tag, their parameters, bodies and answers, and a form to try them. It asks the service that it came
// from and nobody else. The key stays in this page's memory.
const page = Object.fromEntries(["main", "list", "search", "found", "menu", "key", "who", "version", "authorise"].map((id) => [id, document.getElementById(id)]));

/** An element: attributes, `on…` listeners and children. Text is always text. */
function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== ""));
  return element;
}
/** Text with `code` in it. */
const prose = (text = "") => text.split(/(`[^`]+`)/).map((part) => (part.startsWith("`") && part.length > 1 ? h("code", {}, part.slice(1, -1)) : part));

let api;
const nameOf = (ref) => ref.split("/").at(-1);
const at = (ref) => ref.slice(2).split("/").reduce((place, part) => place?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], api);
/** What a reference stands for; what is said beside it counts more. */
const resolved = (part) => (part?.$ref ? { ...at(part.$ref), ...part, $ref: undefined } : (part ?? {}));

/** Every operation, in the order of tags and paths. */
function operations() {
  const all = Object.entries(api.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, ...operation })));
  return all.map((one) => ({ ...one, parameters: (one.parameters ?? []).map(resolved) }));
}

// --- schemas ---------------------------------------------------------------------------------------------------------------------------

const link = (name) => h("a", { href: `#/schemas/${name}` }, name);
const types = (schema) => [schema.type ?? []].flat();

/** Its type in a few words, with links. */
function typed(schema) {
  if (schema.$ref) return [link(nameOf(schema.$ref))];
  const parts = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (parts) return parts.flatMap((part, n) => [...(n ? [schema.allOf ? " and " : " or "] : []), ...typed(part)]);
  if (types(schema).length === 0) return ["any value"];
  const map = typeof schema.additionalProperties === "object";
  const one = (type) => (type === "array" ? ["list of ", ...typed(schema.items ?? {})] : type === "object" && map ? ["names with ", ...typed(schema.additionalProperties)] : [type]);
  return types(schema).flatMap((type, n) => [n ? " or " : "", ...one(type)]);
}
/** Its limits in a few words. */
function limits(schema) {
  const whole = resolved(schema);
  const range = (least, most, of) => {
    const [a, b] = [whole[least], whole[most]].map((n) => (Math.abs(n) > 2 ** 31 - 2 ? undefined : n));
    if (a !== undefined && b !== undefined) return a === b ? `${a}${of}` : `${a}–${b}${of}`;
    return b !== undefined ? `up to ${b}${of}` : a ? `at least ${a}${of}` : "";
  };
  const said = [
    whole.format && !["int32", "int64"].includes(whole.format) ? whole.format : "",
    range("minimum", "maximum", ""), range("minLength", "maxLength", " characters"), range("minItems", "maxItems", " items"),
    whole.pattern ? `\`${whole.pattern}\`` : "", whole.default !== undefined ? `default \`${JSON.stringify(whole.default)}\`` : "",
  ];
  const words = whole.enum ?? whole.items?.enum;
  return [...said, words ? words.map((word) => `\`${word}\``).join(" · ") : ""].filter(Boolean).join("; ");
}
/** The schemas that it is made of and that have members. */
function inside(schema) {
  const parts = [schema, schema.items, schema.additionalProperties, ...(schema.oneOf ?? []), ...(schema.anyOf ?? []), ...(schema.allOf ?? [])];
  return parts.filter((part) => part && typeof part === "object").map(resolved).find((part) => part.properties);
}
function members(schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, member]) => row(name, (schema.required ?? []).includes(name), member));
  return h("dl", {}, rows);
}
function row(name, needed, schema, more) {
  const nested = inside(schema);
  const about = prose(resolved(schema).description ?? schema.oneOf?.map((part) => part.description).find(Boolean));
  const detail = nested && h("details", { ontoggle: (e) => e.target.open && e.target.children.length === 1 && e.target.append(members(nested)) }, h("summary", {}, "its members"));
  return h("div", {}, h("dt", { class: needed ? "needed" : undefined, title: needed ? "required" : undefined }, name),
    h("dd", { class: "kind" }, typed(schema), more ?? ""), h("dd", {}, about, h("span", { class: "soft" }, about.length ? " " : "", prose(limits(schema)))), nested ? h("dd", {}, detail) : "");
}
/** A value that fits: the example, or the members that are required. */
function sample(schema, depth = 0) {
  const whole = resolved(schema);
  const known = whole.example ?? whole.examples?.[0] ?? whole.default ?? whole.enum?.[0];
  if (known !== undefined) return known;
  if (whole.oneOf) return sample(whole.oneOf.find((part) => part.type !== "null"), depth);
  if (whole.properties && depth < 6) {
    const wanted = Object.entries(whole.properties).filter(([name]) => (whole.required ?? []).includes(name));
    return Object.fromEntries(wanted.map(([name, member]) => [name, sample(member, depth + 1)]));
  }
  const type = types(whole)[0];
  const days = { date: "2026-03-31", "date-time": "2026-03-31T09:00:00.000Z", uuid: "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d6e" };
  return { array: [], object: {}, boolean: true, integer: Math.max(whole.minimum ?? 1, 1), number: 1, string: days[whole.format] ?? "…" }[type] ?? null;
}
const shown = (value) => h("pre", { tabindex: "0" }, typeof value === "string" ? value : JSON.stringify(value, null, 2));

// --- trying --------------------------------------------------------------------------------------------------------------------------

/** A field for a parameter. A list is written with commas. */
function field(parameter) {
  const schema = resolved(parameter.schema);
  const words = schema.enum ?? (types(schema).includes("boolean") ? ["true", "false"] : undefined);
  const about = types(schema).includes("array") ? "several with commas" : String(parameter.example ?? schema.example ?? "");
  const common = { name: parameter.name, "data-in": parameter.in, "data-list": types(schema).includes("array"), required: parameter.in === "path" };
  const input = words
    ? h("select", common, ["", ...words].map((word) => h("option", {}, word)))
    : h("input", { ...common, placeholder: about, autocomplete: "off", spellcheck: "false" });
  return h("label", {}, h("span", {}, h("code", {}, parameter.name), parameter.required ? " *" : ""), input);
}
/** Fields for a body in this format. */
function bodyFields(media, content) {
  const area = (name, value) => h("textarea", { "data-body": name, spellcheck: "false", rows: Math.min(18, value.split("\n").length + 1) }, value);
  const json = (schema) => JSON.stringify(sample(schema), null, 2);
  if (media !== "multipart/form-data") {
    return [h("label", { class: "tall" }, `Body (${media})`, area("", media.includes("json") ? json(content.schema) : ""))];
  }
  return Object.entries(resolved(content.schema).properties).map(([name, member]) => {
    const binary = resolved(member).format === "binary";
    const input = binary ? h("input", { type: "file", "data-body": name }) : area(name, json(member));
    return h("label", { class: binary ? undefined : "tall" }, h("code", {}, name), input);
  });
}
/** The request that a form says. */
function request(operation, form) {
  const headers = page.key.value ? { Authorization: `Bearer ${page.key.value.trim()}` } : {};
  const query = new URLSearchParams();
  let path = operation.path;
  for (const input of form.querySelectorAll("[data-in]")) {
    if (input.value === "") continue;
    const values = input.hasAttribute("data-list") ? input.value.split(",").map((one) => one.trim()) : [input.value];
    if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.dataset.in === "header") headers[input.name] = input.name === "Change-Reason" ? encodeURIComponent(input.value) : input.value;
    else values.forEach((value) => query.append(input.name, value));
  }
  const media = form.elements.media?.value;
  const parts = [...form.querySelectorAll("[data-body]")];
  let body;
  if (media === "multipart/form-data") {
    body = new FormData();
    for (const part of parts) body.append(part.dataset.body, part.files ? (part.files[0] ?? new Blob([])) : new Blob([part.value], { type: "application/json" }));
  } else if (parts[0]?.value.trim()) {
    headers["Content-Type"] = media;
    body = parts[0].value;
  }
  return { method: operation.method.toUpperCase(), url: path + (query.size ? `?${query}` : ""), headers, body };
}
/** The same with curl; the key is left out. */
function curl({ method, url, headers, body }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const said = Object.entries(headers).map(([name, value]) => (name === "Authorization" ? '-H "Authorization: Bearer $ISMS_KEY"' : `-H ${quoted(`${name}: ${value}`)}`));
  const parts = body instanceof FormData ? [...body].map(([name, part]) => `-F ${quoted(part.name === "blob" ? `${name}=<${name}.json;type=application/json` : `${name}=@${part.name}`)}`) : body ? [`-d ${quoted(body)}`] : [];
  return ["curl -sS", ...(method === "GET" ? [] : [`-X ${method}`]), ...said, ...parts, quoted(location.origin + url)].join(" \\\n  ");
}
async function send(asked, to) {
  to.replaceChildren(h("p", { class: "soft" }, "…"));
  const began = performance.now();
  try {
    const answer = await fetch(asked.url, { ...asked, cache: "no-store" });
    const took = Math.round(performance.now() - began);
    const media = answer.headers.get("Content-Type") ?? "";
    const blob = await answer.blob();
    const readable = /json|text|xml/.test(media) && !answer.headers.has("Content-Disposition");
    const text = readable ? await blob.text() : "";
    const body = readable
      ? shown(media.includes("json") ? JSON.parse(text) : text)
      : blob.size ? h("p", {}, h("a", { href: URL.createObjectURL(blob), download: nameOf(asked.url.split("?")[0]) }, `Save ${blob.size} bytes (${media})`)) : "";
    to.replaceChildren(
      h("p", {}, h("span", { class: answer.ok || answer.status === 304 ? "status" : "status bad" }, `${answer.status} ${answer.statusText}`), h("span", { class: "soft" }, ` ${took} ms`)),
      body,
      h("details", {}, h("summary", {}, "Headers"), h("table", {}, [...answer.headers].map(([name, value]) => h("tr", {}, h("td", {}, name), h("td", {}, value))))),
    );
  } catch (why) {
    to.replaceChildren(h("p", { class: "bad" }, `No answer: ${why.message}`));
  }
}
function trying(operation) {
  const contents = Object.entries(operation.requestBody?.content ?? {});
  const slot = h("div", {}, contents.length ? bodyFields(...contents[0]) : "");
  const answer = h("div", { class: "answer", "aria-live": "polite" });
  const chosen = (e) => slot.replaceChildren(...bodyFields(...contents.find(([media]) => media === e.target.value)));
  const media = contents.length ? h("label", {}, "Format of the body", h("select", { name: "media", onchange: chosen }, contents.map(([name]) => h("option", {}, name)))) : "";
  const form = h("form", { class: "try", onsubmit: (e) => { e.preventDefault(); send(request(operation, form), answer); } },
    operation.parameters.map(field), media, slot,
    h("div", { class: "send" }, h("button", {}, "Send"),
      h("button", { type: "button", class: "plain", onclick: () => answer.replaceChildren(shown(curl(request(operation, form)))) }, "As a curl command")));
  return [form, answer];
}

// --- places --------------------------------------------------------------------------------------------------------------------------

function answers(operation) {
  return Object.entries(operation.responses).map(([status, given]) => {
    const response = resolved(given);
    const contents = Object.entries(response.content ?? {});
    const fill = (e) => {
      if (!e.target.open || e.target.children.length > 1) return;
      const headers = Object.entries(response.headers ?? {}).map(([name, header]) => row(name, false, { ...resolved(header).schema, description: resolved(header).description }));
      e.target.append(
        ...contents.map(([media, { schema, example }]) => h("div", { class: "within" }, h("p", {}, h("code", {}, media), " ", typed(schema)), inside(schema) ? members(inside(schema)) : "", example ? shown(example) : "")),
        headers.length ? h("details", {}, h("summary", {}, "Headers"), h("dl", {}, headers)) : "",
      );
    };
    return h("details", { ontoggle: fill, open: status.startsWith("2") }, h("summary", {}, h("span", { class: status < "400" ? "status" : "status bad" }, status), " ", prose(response.description)));
  });
}
function operationPage(operation) {
  const places = { path: "in the path", query: "in the query", header: "header" };
  const body = operation.requestBody;
  const guarded = (operation.security ?? api.security).some((scheme) => Object.keys(scheme).length);
  return [
    h("p", { class: "soft" }, operation.tags[0], " · ", operation.operationId, guarded ? "" : " · needs no key"),
    h("h1", {}, operation.summary),
    h("p", { class: "path" }, h("span", { class: `verb ${operation.method}` }, operation.method.toUpperCase()), operation.path,
      h("button", { type: "button", class: "plain", onclick: () => document.getElementById("try").scrollIntoView() }, "Try it")),
    h("p", {}, prose(operation.description)),
    operation.parameters.length ? [h("h2", {}, "Parameters"), h("dl", {}, operation.parameters.map((p) => row(p.name, p.required, { ...resolved(p.schema), description: p.description }, ` · ${places[p.in]}`)))] : "",
    body ? [h("h2", {}, body.required ? "Body" : "Body (may be left out)"), Object.entries(body.content).map(([media, { schema }]) => h("details", { open: true }, h("summary", {}, h("code", {}, media), " ", typed(schema)), h("div", { class: "within" }, members(resolved(schema)), h("p", { class: "soft" }, "Example"), shown(sample(schema)))))] : "",
    h("h2", { id: "try" }, "Try it"), trying(operation),
    h("h2", {}, "Answers"), answers(operation),
  ];
}
function schemaPage(name, schema) {
  const users = operations().filter((one) => JSON.stringify([one.requestBody, one.responses]).includes(`#/components/schemas/${name}"`));
  return [
    h("p", { class: "soft" }, "schema"), h("h1", {}, name), h("p", {}, prose(schema.description)),
    h("p", {}, typed(schema), " ", h("span", { class: "soft" }, prose(limits(schema)))), inside(schema) ? members(inside(schema)) : "",
    h("h2", {}, "Example"), shown(sample(schema)),
    users.length ? [h("h2", {}, "Used by"), h("ul", {}, users.map((one) => h("li", {}, h("a", { href: `#/${one.operationId}` }, one.summary))))] : "",
  ];
}
function start() {
  return [
    h("h1", {}, `${api.info.title} ${api.info.version}`), h("p", {}, prose(api.info.description)),
    h("p", {}, "Choose an operation, or search. With a key above, each can be tried on this very service: what you send is done. The document: ",
      h("a", { href: "/v1/openapi.json" }, "/v1/openapi.json"), " (OpenAPI ", api.openapi, ")."),
    h("dl", {}, api.tags.map((tag) => h("div", {}, h("dt", {}, tag.name), h("dd", {}, prose(tag.description))))),
  ];
}
function show() {
  const place = decodeURIComponent(location.hash.slice(2));
  const name = place.startsWith("schemas/") ? place.slice(8) : undefined;
  const operation = operations().find((one) => one.operationId === place);
  const schema = name && api.components.schemas[name];
  const content = operation ? operationPage(operation) : schema ? schemaPage(name, schema) : start();
  page.main.replaceChildren(...content.flat(Infinity).filter((part) => part !== ""));
  document.title = `${operation?.summary ?? name ?? "The interface"} · isms`;
  for (const entry of page.list.querySelectorAll("a")) entry.toggleAttribute("aria-current", entry.hash === location.hash);
  page.list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  if (place) {
    if (matchMedia("(max-width: 52rem)").matches) page.menu.open = false;
    page.main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}
/** The menu: what has all the words. */
function list() {
  const words = page.search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (text) => words.every((word) => text.toLowerCase().includes(word));
  const all = operations().filter((one) => has([one.method, one.path, one.operationId, one.summary, one.tags[0]].join(" ")));
  const schemas = Object.keys(api.components.schemas).filter((name) => has(`schema ${name}`));
  const entry = (one) => h("a", { href: `#/${one.operationId}`, title: `${one.method.toUpperCase()} ${one.path}` }, h("span", { class: `verb ${one.method}` }, one.method.toUpperCase()), one.summary);
  const groups = api.tags.map((tag) => [tag.name, all.filter((one) => one.tags[0] === tag.name).map(entry)]);
  const sections = [...groups, ["schemas", schemas.map(link)]].filter(([, entries]) => entries.length);
  page.list.replaceChildren(...sections.map(([name, entries]) => h("section", {}, h("h2", {}, name), entries)));
  page.found.textContent = words.length ? `${all.length} operations, ${schemas.length} schemas` : "";
}
async function authorise(event) {
  event.preventDefault();
  const say = (text, mood) => { page.who.textContent = text; page.who.className = mood; };
  if (!page.key.value.trim()) return say("not authorized", "");
  const answer = await fetch("/v1/me", { headers: { Authorization: `Bearer ${page.key.value.trim()}` }, cache: "no-store" }).catch(() => undefined);
  const said = await answer?.json().catch(() => undefined);
  if (answer?.ok) say(`${said.actor.name}: ${said.roles.join(", ")}`, "good");
  else say(said?.detail ?? "The service does not answer.", "bad");
}

try {
  const answer = await fetch("/v1/openapi.json");
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  api = await answer.json();
  page.version.textContent = api.info.version;
  const narrow = matchMedia("(max-width: 52rem)");
  page.menu.open = !narrow.matches;
  narrow.addEventListener("change", () => { page.menu.open = !narrow.matches; });
  page.search.addEventListener("input", list);
  page.authorise.addEventListener("submit", authorise);
  addEventListener("hashchange", show);
  addEventListener("keydown", (e) => {
    if (e.key !== "/" || e.target.matches("input, textarea, select")) return;
    e.preventDefault();
    page.menu.open = true;
    page.search.focus();
  });
  list();
  show();
} catch (why) {
  page.main.replaceChildren(h("p", { class: "bad" }, `The document could not be read: ${why.message}`));
}
