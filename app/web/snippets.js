// The request as code that can be run as it stands.

const single = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const keyed = (hasKey, line) => (hasKey ? line : "");

function curl(body, origin, hasKey) {
  const header = keyed(hasKey, ` \\\n  -H "Authorization: Bearer $BLOCKCACHE_KEY"`);
  return `curl -sS ${origin}/generate -H 'Content-Type: application/json'${header} \\\n  -H 'Accept: image/png' -o picture.png \\\n  -d ${single(JSON.stringify(body, null, 2))}`;
}

/** Python reads JSON's strings and numbers as its own. */
const pairs = (body, indent) =>
  Object.entries(body)
    .map(([name, value]) => `${indent}${JSON.stringify(name)}: ${JSON.stringify(value)},`)
    .join("\n");

function python(body, origin, hasKey) {
  const more = keyed(
    hasKey,
    `\n    headers={"Authorization": f"Bearer {os.environ['BLOCKCACHE_KEY']}"},`,
  );
  return `${keyed(hasKey, "import os\n")}from base64 import b64decode
from pathlib import Path

import httpx

answer = httpx.post(
    "${origin}/generate",
    json={
${pairs(body, "        ")}
    },${more}
    timeout=60,
)
made = answer.raise_for_status().json()
Path("picture.png").write_bytes(b64decode(made["images"][0]["b64_json"]))
print(made["plan"], made["timing"], made["budget"])`;
}

function openai(body, origin, hasKey) {
  const { prompt, model, width, height, ...extra } = body;
  const named = { prompt, ...(model && { model }), ...(width && { size: `${width}x${height}` }) };
  const lines = Object.entries(named)
    .map(([name, value]) => `    ${name}=${JSON.stringify(value)},`)
    .join("\n");
  const apiKey = hasKey ? `os.environ["BLOCKCACHE_KEY"]` : `"none"`;
  return `${keyed(hasKey, "import os\n")}from base64 import b64decode
from pathlib import Path

from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=${apiKey})
made = client.images.generate(
${lines}
    extra_body={
${pairs(extra, "        ")}
    },
)
Path("picture.png").write_bytes(b64decode(made.data[0].b64_json))`;
}

export const SNIPPETS = { curl, Python: python, openai };
