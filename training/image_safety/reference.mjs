// What nsfwjs itself says of the pictures that `parity write` wrote: node reference.mjs FOLDER
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const folder = path.resolve(process.argv[2]);
// Packages are looked for where the command was given, not where this file lies.
const from = createRequire(pathToFileURL(path.join(process.cwd(), "package.json")));
const tf = from("@tensorflow/tfjs");
const nsfwjs = from("nsfwjs");

const model = await nsfwjs.load("MobileNetV2Mid");
const sizes = JSON.parse(fs.readFileSync(path.join(folder, "sizes.json")));
const outputs = {};
for (const [name, shape] of Object.entries(sizes)) {
  const pixels = fs.readFileSync(path.join(folder, `${name}.raw`));
  const output = tf.tidy(() => model.infer(tf.tensor3d(Int32Array.from(pixels), shape, "int32")));
  outputs[name] = Array.from(await output.data());
  output.dispose();
}
const classes = ["drawing", "hentai", "neutral", "porn", "sexy"];
const about = { tfjs: tf.version.tfjs, backend: tf.getBackend(), classes };
fs.writeFileSync(path.join(folder, "reference.json"), JSON.stringify({ ...about, outputs }));
