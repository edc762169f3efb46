"use strict";
// Docs may hold anything, and nobody here vouches for it: text goes into the page as text only.

const AUTH = document.body.dataset.auth;
// Relative, so that it is also right behind an ingress, a forwarded port or a path prefix.
const MCP = new URL("mcp", location.href);
const READY = new URL("health/ready", location.href);
const ASK_AGAIN_MS = 5000;
const GIVE_UP_MS = 30000;

const $ = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// ---- What this server knows

async function showState() {
  let index = null;
  let problem = "";
  try {
    const response = await fetch(READY, { cache: "no-store" });
    const body = await response.json();
    index = response.ok ? body.index : null;
    problem = response.ok ? "" : body.problem || `The server answered ${response.status}.`;
  } catch {
    problem = "The server does not answer.";
  }
  const state = index ? "Ready" : "Not ready";
  if ($("state").textContent !== state) $("state").textContent = state;
  $("state").className = `state ${index ? "good" : "bad"}`;
  $("problem").hidden = Boolean(index);
  const text = problem && `Questions cannot be answered now: ${problem}`;
  if ($("problem").textContent !== text) $("problem").textContent = text;
  if (index) showFacts(index);
  else setTimeout(showState, ASK_AGAIN_MS);
}

function showFacts(index) {
  for (const place of document.querySelectorAll("[data-fact]")) {
    place.textContent = fact(place.dataset.fact, index[place.dataset.fact]);
  }
}

function fact(name, value) {
  // An index may have vectors that this server does without.
  if (name === "embedding" && document.body.dataset.embedding === "None") return "none, by words only";
  if (value === null || value === undefined || value === "") return "unknown";
  if (name === "revision") return String(value).slice(0, 12);
  if (typeof value === "number") return value.toLocaleString("en");
  const date = name === "created" ? new Date(value) : NaN;
  return Number.isNaN(Number(date)) ? String(value) : date.toLocaleDateString("en", { dateStyle: "medium" });
}

// ---- Search

let running = null;

async function search(event) {
  event.preventDefault();
  if (running) running.abort();
  const mine = new AbortController();
  running = mine;
  const timer = setTimeout(() => mine.abort(), GIVE_UP_MS);
  clear();
  document.body.classList.add("busy");
  $("summary").textContent = "Searching";
  const started = performance.now();
  try {
    const answer = await call(query(), $("token").value.trim(), mine.signal);
    if (running === mine) show(answer, Math.round(performance.now() - started));
  } catch (error) {
    if (running === mine) fail(error.name === "AbortError" ? "The server did not answer in time." : error.message);
  } finally {
    clearTimeout(timer);
    if (running === mine) {
      running = null;
      document.body.classList.remove("busy");
    }
  }
}

function query() {
  const limit = $("limit").valueAsNumber;
  return { query: $("query").value, ...(Number.isNaN(limit) ? {} : { limit }) };
}

async function call(args, token, signal) {
  const headers = {
    "Content-Type": "application/json",
    Accept: "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-06-18",
  };
  if (token) headers.Authorization = `Bearer ${token}`;
  const params = { name: "get_flame_knowledge", arguments: args };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params });
  let response;
  try {
    response = await fetch(MCP, { method: "POST", headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(/^[\x21-\x7e]*$/.test(token) ? "The server cannot be reached." : "A token has no spaces and only plain letters.");
  }
  const message = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return {};
  });
  if (!response.ok) throw refusal(response, message);
  if (message.error) throw new Error(`The server refused: ${message.error.message}`);
  const { isError, content = [], structuredContent } = message.result || {};
  if (isError) throw new Error(content.map((part) => part.text).join("\n") || "The tool failed.");
  if (!structuredContent) throw new Error("What answered is no Flame MCP server.");
  return structuredContent;
}

function refusal(response, message) {
  const said = message.error_description || message.error?.message || response.statusText;
  if (response.status === 401) {
    $("token-field").hidden = false;
    $("token").focus();
    return new Error(`The server wants a valid token (401): ${said}`);
  }
  if (response.status === 429) {
    const wait = response.headers.get("Retry-After");
    return new Error(`Too many questions (429)${wait ? `: try again in ${wait} s.` : "."}`);
  }
  return new Error(`The server refused (${response.status}): ${said}`);
}

function clear() {
  $("results").replaceChildren();
  $("error").hidden = true;
  $("raw").hidden = true;
}

function fail(text) {
  $("summary").textContent = "";
  $("error").textContent = text;
  $("error").hidden = false;
}

function show(answer, milliseconds) {
  const count = answer.results.length;
  const found = count === 0 ? "Nothing found" : `${count} passage${count === 1 ? "" : "s"}`;
  $("summary").replaceChildren(`${found} in ${milliseconds} ms`);
  if (answer.degraded) $("summary").append(flag(`degraded: ${answer.degraded} (by words only, not by meaning)`));
  if (answer.truncated) $("summary").append(flag("truncated (cut to fit the token budget)"));
  $("results").replaceChildren(...answer.results.map(passage));
  $("raw").querySelector("code").textContent = JSON.stringify(answer, null, 2);
  $("raw").open = false;
  $("raw").hidden = false;
}

const flag = (text) => element("span", { className: "flag", textContent: text });

function passage(result, number) {
  const content = element("details", { open: number === 0 });
  const length = `Content, ${result.content.length.toLocaleString("en")} characters`;
  content.append(element("summary", { textContent: length }), ...blocks(result.content));
  return element(
    "li",
    {},
    element("h3", {}, `${number + 1}. `, link(result.url, result.title)),
    element("p", { className: "crumbs", textContent: result.breadcrumb.join(" › ") }),
    element("p", { className: "source", textContent: `${result.source_path} · score ${result.score.toFixed(2)}` }),
    content,
  );
}

function link(url, text) {
  if (!/^https?:\/\//i.test(url)) return element("span", { textContent: text });
  return element("a", { href: url, textContent: text, target: "_blank", rel: "noopener noreferrer" });
}

// Markdown as it is, but with fences as blocks of code.
function blocks(markdown) {
  const made = [];
  let lines = [];
  let fence = null;
  const flush = (code) => {
    const text = lines.join("\n").replace(/^\n+|\s+$/g, "");
    lines = [];
    if (!text) return;
    made.push(code ? element("pre", {}, element("code", { textContent: text })) : element("div", { className: "prose", textContent: text }));
  };
  for (const line of markdown.split("\n")) {
    const mark = /^ {0,3}(`{3,}|~{3,})(.*)$/.exec(line);
    if (!fence && mark) {
      flush(false);
      fence = mark[1];
    } else if (fence && mark && mark[1].startsWith(fence) && !mark[2].trim()) {
      flush(true);
      fence = null;
    } else {
      lines.push(line);
    }
  }
  flush(Boolean(fence));
  return made;
}

// ---- Settings for assistants

const json = (value) => JSON.stringify(value, null, 2);
const shell = (text) => (/^[\w.:/-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);

function clients(url, auth) {
  const headers = auth ? { headers: { Authorization: "Bearer YOUR_TOKEN" } } : {};
  const { protocol, hostname } = new URL(url);
  const near = ["localhost", "127.0.0.1"].includes(hostname);
  const bridge = ["-y", "mcp-remote", url, "--transport", "http-only"];
  if (protocol === "http:" && !near) bridge.push("--allow-http");
  // A header without a space: Claude Desktop on Windows breaks arguments at spaces.
  if (auth) bridge.push("--header", "Authorization:${AUTH_HEADER}");
  const desktop = { command: "npx", args: bridge, ...(auth ? { env: { AUTH_HEADER: "Bearer YOUR_TOKEN" } } : {}) };
  const prompt = { type: "promptString", id: "flame-token", description: "Token of the Flame MCP server", password: true };
  const code = { type: "http", url, ...(auth ? { headers: { Authorization: "Bearer ${input:flame-token}" } } : {}) };
  return [
    ["Claude Code", "In a terminal:",
      `claude mcp add --transport http flame ${shell(url)}${auth ? ' --header "Authorization: Bearer YOUR_TOKEN"' : ""}`],
    ["Claude Desktop", "For a server on the internet that needs no token or signs in by OAuth: Settings, Connectors, Add custom connector, and the address above. For every other, with Node.js installed, in claude_desktop_config.json (Settings, Developer, Edit Config):",
      json({ mcpServers: { flame: desktop } })],
    ["Cursor", "In ~/.cursor/mcp.json, or .cursor/mcp.json of a project:", json({ mcpServers: { flame: { url, ...headers } } })],
    ["VS Code", `In .vscode/mcp.json of a project, or by the command MCP: Open User Configuration${auth ? "; it asks for the token once" : ""}:`,
      json({ ...(auth ? { inputs: [prompt] } : {}), servers: { flame: code } })],
    ["Codex", `In ~/.codex/config.toml${auth ? "; the token is what the variable FLAME_DOCS_TOKEN holds where Codex starts, sent as Authorization: Bearer" : ""}:`,
      `[mcp_servers.flame]\nurl = ${JSON.stringify(url)}${auth ? '\nbearer_token_env_var = "FLAME_DOCS_TOKEN"' : ""}`],
    ["Gemini CLI", "In ~/.gemini/settings.json, or .gemini/settings.json of a project:", json({ mcpServers: { flame: { httpUrl: url, ...headers } } })],
  ];
}

function showClients() {
  $("url").textContent = MCP.href;
  $("clients").replaceChildren(
    ...clients(MCP.href, AUTH !== "None").map(([name, where, text], number) => {
      const code = element("code", { textContent: text });
      const button = element("button", { type: "button", className: "quiet", textContent: "Copy" });
      button.setAttribute("aria-label", `Copy the settings for ${name}`);
      button.addEventListener("click", () => copy(button, code, name));
      return element("details", { name: "client", open: number === 0 },
        element("summary", { textContent: name }), element("p", { textContent: where }), element("pre", {}, code), button);
    }),
  );
  if (AUTH === "OIDC") {
    const text = "Assistants that can sign in by OAuth find the issuer by themselves: leave the token out there.";
    $("clients").before(element("p", { textContent: text }));
  }
}

async function copy(button, code, name) {
  let done = true;
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Browsers have no clipboard for pages that came over plain http.
    getSelection().selectAllChildren(code);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Selected: press Ctrl+C";
  $("copied").textContent = done ? `Settings for ${name} copied` : "Selected: press Ctrl+C";
  setTimeout(() => { button.textContent = "Copy"; $("copied").textContent = ""; }, 3000);
}

$("token-field").hidden = AUTH === "None";
$("form").addEventListener("submit", search);
showClients();
showState();
