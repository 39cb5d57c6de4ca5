// Tests the page at /docs in a real browser, driven through the DevTools protocol over a pipe, without any package. The page must load
// without console errors, policy violations or third-party requests; show every operation and schema, also at a phone's width; accept a
// key, make calls and show the answers.
//
//   live.sh PROGRAM node docs_page.mjs [FOLDER FOR PICTURES]
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { ISMS_URL: service, ISMS_KEY: key, CHROMIUM = "chromium" } = process.env;
const [pictures] = process.argv.slice(2);
const scratch = mkdtempSync(join(tmpdir(), "docs-page-"));
const check = (holds, what) => { if (!holds) throw new Error(`not so: ${what}`); };

const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-ipc-flooding-protection", "--remote-debugging-pipe", `--user-data-dir=${scratch}/profile`];
const browser = spawn(CHROMIUM, [...flags, "about:blank"], { detached: true, stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
const [, , , out, back] = browser.stdio;
const waiting = new Map();
const faults = [];
const asked = [];
let heard = "";
let next = 1;
let expected = () => false;
back.setEncoding("utf8").on("data", (text) => {
  const messages = (heard + text).split("\0");
  heard = messages.pop();
  messages.map((message) => JSON.parse(message)).forEach(take);
});
browser.on("error", (why) => { console.error(`${CHROMIUM}: ${why.message}`); process.exit(1); });
const late = setTimeout(() => { console.error("The browser took more than three minutes."); process.kill(-browser.pid, "SIGKILL"); process.exit(1); }, 180_000);

function take({ id, result, error, method, params }) {
  if (id) {
    const [done, failed] = waiting.get(id);
    return error ? failed(new Error(error.message)) : done(result);
  }
  const fault = {
    "Runtime.exceptionThrown": () => params.exceptionDetails.exception?.description ?? params.exceptionDetails.text,
    "Runtime.consoleAPICalled": () => (["error", "warning", "assert"].includes(params.type) ? JSON.stringify(params.args) : undefined),
    "Log.entryAdded": () => (["error", "warning"].includes(params.entry.level) ? `${params.entry.text} ${params.entry.url ?? ""}` : undefined),
    "Audits.issueAdded": () => (/ContentSecurityPolicy|MixedContent|Cors/.test(params.issue.code) ? JSON.stringify(params.issue) : undefined),
  }[method]?.();
  if (fault && !expected(fault)) faults.push(fault);
  if (method === "Network.requestWillBeSent") asked.push(params.request.url);
}
function send(method, params = {}, sessionId) {
  const id = next++;
  out.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  return new Promise((done, failed) => waiting.set(id, [done, failed]));
}

try {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const tab = (method, params) => send(method, params, sessionId);
  for (const domain of ["Page", "Runtime", "Log", "Network", "Audits", "DOM"]) await tab(`${domain}.enable`);
  /** What an expression is in the page. */
  const see = async (expression) => {
    const { result, exceptionDetails } = await tab("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
    return result.value;
  };
  const until = async (expression, what = expression) => {
    for (let n = 0; n < 100; n++) {
      const value = await see(expression);
      if (value) return value;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`it did not come: ${what}; the page says ${await see("document.querySelector('main').innerText.slice(0, 2000)")}`);
  };
  const picture = async (name) => {
    if (!pictures) return;
    const { data } = await tab("Page.captureScreenshot", { format: "png" });
    writeFileSync(join(pictures, `${name}.png`), Buffer.from(data, "base64"));
  };
  const width = (pixels) => tab("Emulation.setDeviceMetricsOverride", { width: pixels, height: 900, deviceScaleFactor: 1, mobile: pixels < 600 });
  const go = async (place) => {
    await see(`location.hash = ${JSON.stringify(`#/${place}`)}`);
    await until(`document.querySelector("#list [aria-current]")?.hash === ${JSON.stringify(`#/${place}`)}`, place);
  };
  const answer = async (wanted) => {
    await see(`document.querySelector(".try").requestSubmit()`);
    return until(`[...document.querySelectorAll(".answer .status")].some((one) => one.textContent.startsWith("${wanted}")) && document.querySelector(".answer pre").textContent`, `an answer ${wanted}`);
  };

  const document = await (await fetch(`${service}/v1/openapi.json`)).json();
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item)).map((one) => one.operationId);
  const schemas = Object.keys(document.components.schemas);

  await width(1280);
  await tab("Page.navigate", { url: `${service}/docs` });
  await until(`document.querySelectorAll("#list a").length > 0`, "the menu");
  check((await see(`document.querySelectorAll("#list a").length`)) === operations.length + schemas.length, "every operation and schema is in the menu");
  await picture("start");

  // Each has a page that fits, on a desktop and on a phone.
  for (const pixels of [1280, 375]) {
    await width(pixels);
    for (const place of [...operations, ...schemas.map((name) => `schemas/${name}`)]) {
      await go(place);
      const [title, wide, dead] = await see(`[document.querySelector("main h1")?.textContent, document.documentElement.scrollWidth - innerWidth,
        [...document.querySelectorAll("main a[href^='#/schemas/']")].map((a) => a.hash.slice(10)).filter((name) => ![...document.querySelectorAll("#list a")].some((a) => a.hash === "#/schemas/" + name))]`);
      check(title && wide <= 0 && dead.length === 0, `${place} at ${pixels} pixels: ${title}, ${wide} too wide, dead links ${dead}`);
    }
  }
  await go("listRisks");
  await picture("phone");
  await width(1280);
  const nested = `document.querySelector("main dd details")`;
  await go("getRisk");
  await see(`${nested}.open = true`);
  await until(`${nested}.querySelector("dt")`, "members within members");

  // The search.
  await see(`(search.value = "post nonconformit", search.dispatchEvent(new Event("input")))`);
  const found = await see(`[...document.querySelectorAll("#list a")].map((a) => a.hash)`);
  check(found.length > 5 && found.length < 20 && found.includes("#/containNonconformity"), `the search finds ${found}`);
  await see(`(search.value = "", search.dispatchEvent(new Event("input")))`);

  // Without a key, with a wrong one, with a valid one.
  expected = (fault) => fault.includes("401");
  await go("getMe");
  check(JSON.parse(await answer(401)).code === "unauthenticated", "without a key");
  const authorise = (value) => see(`(key.value = ${JSON.stringify(value)}, document.getElementById("authorise").requestSubmit())`);
  await authorise("isms_wrong");
  await until(`who.className === "bad"`, "a wrong key is refused");
  expected = () => false;
  await new Promise((done) => setTimeout(done, 200));
  await authorise(key);
  check((await until(`who.className === "good" && who.textContent`, "a key is taken")).includes("manager"), "who it is");
  check(JSON.parse(await answer(200)).roles.includes("manager"), "GET /v1/me");
  await see(`document.querySelector(".try .plain").click()`);
  const command = await until(`document.querySelector(".answer pre").textContent`, "a curl command");
  check(!command.includes(key), "the command is without the key");
  const same = execFileSync("sh", ["-c", command], { env: { ...process.env, ISMS_KEY: key } });
  check(JSON.parse(same).roles.includes("manager"), "the command does the same");

  await go("createRisk");
  const risk = JSON.parse(await answer(201));
  check(risk.code === "RSK-1" && risk.status === "open", "POST /v1/risks with its example");
  await picture("risk");
  await go("updateRisk");
  const fill = (name, value) => see(`document.querySelector(${JSON.stringify(`.try [name="${name}"]`)}).value = ${JSON.stringify(value)}`);
  await fill("id", risk.code);
  await fill("If-Match", '"1"');
  await fill("Change-Reason", "Überlegt");
  check(JSON.parse(await answer(200)).version === 2, "PATCH with headers");
  await go("listRisks");
  await fill("status", "open, closed");
  check(JSON.parse(await answer(200)).data.length === 1, "a list with a filter");
  await go("getStatementOfApplicability");
  expected = (fault) => fault.includes("404");
  await fill("id", "SCO-404");
  check(JSON.parse(await answer(404)).code === "not_found", "a problem is shown");
  expected = () => false;

  // A file.
  writeFileSync(join(scratch, "report.txt"), "restored 12 of 12\n");
  await go("createEvidence");
  await see(`{ const media = document.querySelector(".try [name=media]"); media.value = "multipart/form-data"; media.dispatchEvent(new Event("change")); }`);
  const { root } = await tab("DOM.getDocument", { depth: -1 });
  const { nodeId } = await tab("DOM.querySelector", { nodeId: root.nodeId, selector: ".try input[type=file]" });
  await tab("DOM.setFileInputFiles", { nodeId, files: [join(scratch, "report.txt")] });
  await see(`document.querySelector(".try textarea").value = JSON.stringify({name: "Restore test", source: "backup", external_id: "1"})`);
  const evidence = JSON.parse(await answer(201));
  check(evidence.size_bytes === 18 && evidence.file_name === "report.txt", "a file");
  await go("getEvidenceContent");
  await fill("id", evidence.code);
  await see(`document.querySelector(".try").requestSubmit()`);
  await until(`document.querySelector(".answer a[download]")?.textContent.includes("18 bytes")`, "a file to save");

  // Dark if the system is dark.
  const paper = `getComputedStyle(document.body).backgroundColor`;
  const light = await see(paper);
  await tab("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: "dark" }] });
  check((await see(paper)) !== light, "dark and light differ");
  await picture("dark");

  check(faults.length === 0, `faults:\n${faults.join("\n")}`);
  const elsewhere = asked.filter((url) => !url.startsWith(service) && !url.startsWith("blob:") && !url.startsWith("about:"));
  check(elsewhere.length === 0, `requests to others: ${elsewhere}`);

  // What the policy prevents: markup from text and injected scripts have no effect.
  expected = () => true;
  check(await see(`(() => { try { document.body.innerHTML = "<b>x</b>"; return false; } catch { return true; } })()`), "no markup from text");
  check(await see(`fetch("https://example.org/").then(() => false, () => true)`), "no request elsewhere");
  console.log(`the page works: ${operations.length} operations, ${schemas.length} schemas, ${asked.length} requests`);
} catch (why) {
  console.error(`${why.message}\n${faults.join("\n")}`);
  process.exitCode = 1;
} finally {
  clearTimeout(late);
  process.kill(-browser.pid, "SIGKILL"); // with its child processes, which write to the folder
  await new Promise((done) => browser.once("exit", done));
  rmSync(scratch, { recursive: true, force: true, maxRetries: 20 });
}
