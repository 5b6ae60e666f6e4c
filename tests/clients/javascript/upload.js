// Uploads one file with tus-js-client as it is. Usage: node upload.js ENDPOINT FILE TABLE CHUNK_BYTES
// Prints one JSON object a line: how many bytes the server has, then where the upload is.
import fs from "node:fs";
import * as tus from "tus-js-client";

const [endpoint, file, table, chunkBytes] = process.argv.slice(2);
const print = (event) => process.stdout.write(JSON.stringify(event) + "\n");

const upload = new tus.Upload(fs.createReadStream(file), {
  endpoint,
  chunkSize: Number(chunkBytes),
  uploadSize: fs.statSync(file).size,
  retryDelays: Array(60).fill(500),
  metadata: { table, filename: file.split("/").pop(), filetype: "text/csv", relativePath: "x/y" },
  onChunkComplete: (_, accepted) => print({ accepted }),
  onShouldRetry: () => true,
  onSuccess: () => print({ url: upload.url }),
  onError: (error) => {
    print({ error: String(error) });
    process.exitCode = 1;
  },
});
upload.start();
