// node tests/formats/fhir_check.js FOLDER
//
// Reads every FOLDER/N.view.json beside FOLDER/N.full.json, the file it is a view of, with the validator
// of the npm package fhir, and tells the views in which it finds an error while the file has none. The
// package is looked for in the folder CHARTFS_TEST_NODE_MODULES; SKIPPED when it is not there.
"use strict";
const fs = require("fs");
const path = require("path");

let Fhir;
try {
  ({ Fhir } = require(path.join(process.env.CHARTFS_TEST_NODE_MODULES || ".", "fhir")));
} catch (error) {
  console.log("SKIPPED: views of FHIR with the npm package fhir: the package is not there");
  process.exit(0);
}
const validator = new Fhir();

function errors(file) {
  const text = fs.readFileSync(file, "utf8").replace(/^\uFEFF/, "");
  const lines = file.endsWith(".ndjson") ? text.split("\n").filter((line) => line.trim()) : [text];
  const found = [];
  for (const line of lines) {
    let answer;
    try {
      answer = validator.validate(line);
    } catch (error) {
      answer = { messages: [{ severity: "error", location: "", message: String(error) }] };
    }
    const bad = answer.messages.filter((m) => m.severity === "error" || m.severity === "fatal");
    found.push(...bad.map((m) => `${m.location}: ${m.message}`));
  }
  return found;
}

const folder = process.argv[2];
const names = fs.readdirSync(folder).sort();
let checked = 0;
const bad = [];
for (const full of names.filter((name) => name.includes(".full."))) {
  if (errors(path.join(folder, full)).length) continue;
  const number = full.split(".")[0];
  for (const view of names.filter((name) => name.startsWith(`${number}.view`))) {
    checked += 1;
    const found = errors(path.join(folder, view));
    if (found.length) bad.push(`${view}: ${found[0]}`);
  }
}
// The check can fail.
if (validator.validate('{"resourceType":"Observation"}').valid) bad.push("the validator takes anything");
console.log(`fhir: ${checked} views, ${bad.length} refused`);
console.log(bad.slice(0, 20).join("\n"));
process.exit(bad.length || !checked ? 1 : 0);
