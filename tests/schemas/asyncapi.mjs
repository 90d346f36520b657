// Validates an AsyncAPI document with the AsyncAPI project's parser: no error, no warning, and as many messages as given.
// Arguments: file, count.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const [file, count] = process.argv.slice(2);
const { document, diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
// 0 is an error, 1 a warning.
const found = diagnostics.filter(({ severity }) => severity < 2);
for (const { path, message } of found) console.error(`${path.join(".")}: ${message}`);
const messages = document?.allMessages().length ?? 0;
console.log(`${file}: ${messages} messages`);
process.exit(found.length === 0 && messages === Number(count) ? 0 : 1);
