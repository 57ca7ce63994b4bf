// node npm_run.mjs PACKAGE JOBS: restores the images that a JSON file lists, and writes their samples to files.
import {readFile, writeFile} from 'node:fs/promises';
import {pathToFileURL} from 'node:url';

const [packageFolder, jobsFile] = process.argv.slice(2);
const {load} = await import(pathToFileURL(`${packageFolder}/index.js`));
const kinds = {u8: Uint8Array, u16: Uint16Array, f32: Float32Array};
const models = new Map();
for (const {input, output, model, width, height, channels, type, options} of JSON.parse(await readFile(jobsFile))) {
  const key = JSON.stringify(model);
  if (!models.has(key)) models.set(key, await load(model));
  const bytes = await readFile(input);
  const data = new kinds[type](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const clean = await models.get(key).denoise({width, height, channels, data}, options);
  await writeFile(output, new Uint8Array(clean.data.buffer));
}
for (const model of models.values()) model.free();
