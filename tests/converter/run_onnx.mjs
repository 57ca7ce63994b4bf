// Runs ONNX models in ONNX Runtime: INSTALLED FOLDER NAME... reads NAME.onnx and NAME.in.f32 and writes
// NAME.onnxruntime.f32, all in FOLDER. Their input is "image" and has the shape that the graph states.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [installed, folder, ...names] = process.argv.slice(2);
// An import would look beside this file.
const ort = createRequire(`${installed}/package.json`)('onnxruntime-node');

for (const name of names) {
  const session = await ort.InferenceSession.create(`${folder}/${name}.onnx`, {
    executionProviders: ['cpu'], intraOpNumThreads: 1, interOpNumThreads: 1,
  });
  const samples = new Float32Array(new Uint8Array(readFileSync(`${folder}/${name}.in.f32`)).buffer);
  const feeds = { image: new ort.Tensor('float32', samples, session.inputMetadata[0].shape) };
  const { restored } = await session.run(feeds);
  writeFileSync(`${folder}/${name}.onnxruntime.f32`,
    new Uint8Array(restored.data.buffer, restored.data.byteOffset, restored.data.byteLength));
}
