// Renders /openapi.json. Everything is set as text, never as markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function resolve(api, schema) {
  const name = schema && schema.$ref && schema.$ref.split("/").pop();
  return name ? api.components.schemas[name] : schema;
}

// An outline of a schema: what a reader would write down as an example.
function outline(api, schema, depth = 0) {
  const shape = resolve(api, schema) || {};
  if (depth > 4) return "…";
  if ("const" in shape) return shape.const;
  if (shape.enum) return shape.enum.join(" | ");
  const choices = shape.anyOf || shape.oneOf;
  if (choices) {
    const other = choices.find((choice) => choice.type !== "null") || choices[0];
    return outline(api, other, depth);
  }
  if (shape.type === "array") return [outline(api, shape.items || {}, depth + 1)];
  if (shape.type === "object" || shape.properties) {
    const required = shape.required || [];
    return Object.fromEntries(Object.entries(shape.properties || {}).map(
      ([name, member]) => [required.includes(name) ? name : name + "?", outline(api, member, depth + 1)]));
  }
  return [shape.type || "any"].flat().join(" | ") + (shape.format ? ` (${shape.format})` : "");
}

const written = (value) => make("pre", {}, typeof value === "string" ? value : JSON.stringify(value, null, 2));

function content(api, media) {
  return Object.entries(media || {}).flatMap(([type, { schema, examples }]) => [
    make("div", { class: "quiet" }, type),
    ...(examples ? [] : [written(outline(api, schema))]),
    ...Object.entries(examples || {}).map(([code, example]) =>
      make("details", {}, make("summary", {}, make("code", {}, code), " ", example.summary || ""),
        make("div", {}, written(example.value)))),
  ]);
}

function parameters(api, list) {
  if (!list || !list.length) return [];
  const rows = list.map((one) => make("tr", {},
    make("td", {}, make("code", {}, one.name)),
    make("td", { class: "quiet" }, one.in + (one.required ? ", required" : "")),
    make("td", {}, String(outline(api, one.schema))),
    make("td", {}, one.description || "")));
  return [make("h3", {}, "Parameters"), make("table", {}, make("tbody", {}, ...rows))];
}

function operation(api, path, method, one) {
  const needs = (one.security || []).map((set) => Object.keys(set).join(" and ") || "nothing while public access is open");
  const body = [
    make("p", {}, one.description || ""),
    make("p", { class: "quiet" }, "Credential: " + (needs.join(", or ") || "none")),
    ...parameters(api, one.parameters),
  ];
  if (one.requestBody) body.push(make("h3", {}, "Body"), ...content(api, one.requestBody.content));
  for (const [status, response] of Object.entries(one.responses)) {
    body.push(make("h3", {}, `${status} ${response.description}`), ...content(api, response.content));
  }
  const head = make("summary", {}, make("code", { class: "method" }, method.toUpperCase()), make("code", {}, path),
    make("span", { class: "quiet" }, " " + one.summary));
  const box = make("details", { id: one.operationId, "data-words": `${method} ${path} ${one.summary}`.toLowerCase() }, head);
  // Built when it is opened: a document of a hundred operations stays quick.
  box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(make("div", {}, ...body)); });
  return box;
}

function surface(api, tag) {
  const boxes = Object.entries(api.paths).flatMap(([path, item]) => METHODS
    .filter((method) => item[method] && item[method].tags[0] === tag.name)
    .map((method) => operation(api, path, method, item[method])));
  return make("section", { id: "surface-" + tag.name }, make("h2", {}, tag.name),
    make("p", {}, tag.description || ""), ...boxes);
}

function find(words) {
  for (const section of document.querySelectorAll("main > section")) {
    const boxes = [...section.querySelectorAll("details[data-words]")];
    for (const box of boxes) box.hidden = !words.every((word) => box.dataset.words.includes(word));
    section.hidden = boxes.every((box) => box.hidden);
  }
}

async function show() {
  const about = document.getElementById("about");
  const answer = await fetch("/openapi.json");
  if (!answer.ok) { about.textContent = `/openapi.json answered ${answer.status}.`; return; }
  const api = await answer.json();
  about.replaceChildren(`${api.info.summary}. Version ${api.info.version}. The document itself: `,
    make("a", { href: "/openapi.json" }, "/openapi.json"));
  for (const tag of api.tags) {
    document.getElementById("surfaces").append(make("a", { href: "#surface-" + tag.name }, tag.name));
    document.getElementById("operations").append(surface(api, tag));
  }
  const input = document.getElementById("find");
  input.addEventListener("input", () => find(input.value.toLowerCase().split(/\s+/).filter(Boolean)));
}

show();
