/** Builds dist/ from source/ and languages/; with --check it builds aside and fails where dist/ is not the same. */
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const DIST = join(HERE, "dist");
const GZIPPED_BYTES_MAX = 250_000;
const AS_THEY_ARE = ["index.html", "theme.css", "logo.png", "logo-contrast.png"];
const TARGET = ["chrome100", "firefox104", "safari15.4"];
const LICENCE_FILE = /^(licen[cs]e|copying|notice)/i;

/** Write all of the page into a folder. */
async function write(folder) {
  await mkdir(join(folder, "languages"), { recursive: true });
  const metafile = await script(folder);
  await style(folder);
  for (const name of AS_THEY_ARE) await cp(join(HERE, "source", name), join(folder, name));
  await cp(join(HERE, "kiosk.json"), join(folder, "kiosk.json"));
  await languages(folder);
  await writeFile(join(folder, "LICENSES.txt"), await licences(metafile));
}

/** One classic script, since a server that sends no Content-Type makes modules fail. */
async function script(folder) {
  const { metafile } = await build({
    absWorkingDir: HERE,
    entryPoints: ["source/main.js"],
    outfile: join(folder, "kiosk.js"),
    bundle: true,
    minify: true,
    charset: "utf8",
    format: "iife",
    platform: "browser",
    target: TARGET,
    legalComments: "none",
    metafile: true,
    alias: { debug: "./source/bundled/debug.cjs", "worker-timers": "./source/bundled/worker-timers.js" },
    inject: ["source/bundled/process.js"],
  });
  return metafile;
}

async function style(folder) {
  const paths = { entryPoints: [join(HERE, "source/kiosk.css")], outfile: join(folder, "kiosk.css") };
  await build({ ...paths, minify: true, charset: "utf8", target: TARGET });
}

/** The tables, without their spaces, and the list of them in the order of their codes, English first. */
async function languages(folder) {
  const codes = (await readdir(join(HERE, "languages")))
    .filter((name) => name.endsWith(".json"))
    .map((name) => name.slice(0, -5));
  const sorted = ["en", ...codes.filter((code) => code !== "en").sort()];
  const list = [];
  for (const code of sorted) {
    const table = JSON.parse(await readFile(join(HERE, "languages", `${code}.json`), "utf8"));
    list.push({ code, name: table.name, direction: table.direction });
    await writeFile(join(folder, "languages", `${code}.json`), JSON.stringify(table));
  }
  await writeFile(join(folder, "languages", "index.json"), JSON.stringify(list));
}

/** The packages that are in the script, with their licences as they came. */
async function licences({ outputs }) {
  const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs));
  const used = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => path);
  const folders = new Set(used.map((path) => path.match(/^.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0]).filter(Boolean));
  const texts = [...folders].sort().map(licence);
  return `The page's script, kiosk.js, has parts of these packages.\n\n${(await Promise.all(texts)).join("\n")}`;
}

async function licence(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(HERE, folder, "package.json"), "utf8"));
  const files = (await readdir(join(HERE, folder))).filter((file) => LICENCE_FILE.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(HERE, folder, file), "utf8")));
  return `${"=".repeat(72)}\n${name} ${version} (${license})\n\n${texts.map((text) => `${text.trim()}\n`).join("\n")}`;
}

/** Files below a folder with their contents, by their path in it. */
async function contents(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  return new Map(await Promise.all(paths.sort().map(async (path) => [relative(folder, path), await readFile(path)])));
}

/** Bytes of all files, each gzipped. */
function tellSize(files) {
  const sizes = [...files].map(([name, bytes]) => [name, gzipSync(bytes, { level: 9 }).length]);
  const whole = sizes.reduce((sum, [, size]) => sum + size, 0);
  for (const name of ["index.html", "kiosk.js", "kiosk.css"])
    console.log(`${name}: ${new Map(sizes).get(name)} bytes gzipped`);
  console.log(`dist, all of it: ${whole} bytes gzipped, of ${GZIPPED_BYTES_MAX} at most`);
  if (whole > GZIPPED_BYTES_MAX) throw new Error(`dist is larger than ${GZIPPED_BYTES_MAX} bytes gzipped`);
}

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

async function check() {
  const folder = await mkdtemp(join(tmpdir(), "kiosk-"));
  try {
    await write(folder);
    const [fresh, there] = [await contents(folder), await contents(DIST)];
    const names = new Set([...fresh.keys(), ...there.keys()]);
    const other = [...names].filter((name) => digest(fresh.get(name) ?? "") !== digest(there.get(name) ?? ""));
    if (other.length)
      throw new Error(`dist is not what the sources make, run \`npm run build\`: ${other.sort().join(", ")}`);
    tellSize(there);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function rebuild() {
  await rm(DIST, { recursive: true, force: true });
  await write(DIST);
  tellSize(await contents(DIST));
}

await (process.argv.includes("--check") ? check() : rebuild());
