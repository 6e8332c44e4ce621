// The server's answers. Each change answers with the study as it stands after it.

let version = null;  // of the study as it was told last: a change is made on this state or refused

async function answer(response) {
  if (response.ok) {
    const study = await response.json();
    version = study.version;
    return study;
  }
  let detail = `${response.status} ${response.statusText}`, conflict = false;
  try {
    const told = await response.json();
    if (typeof told.detail === "string") detail = told.detail;
    conflict = told.conflict === true;
  } catch { /* no JSON: the status says it */ }
  throw Object.assign(new Error(detail), { conflict });
}

async function send(method, path, body) {
  const binary = body instanceof Uint8Array;
  const headers = body === undefined ? {} : { "Content-Type": binary ? "application/octet-stream" : "application/json" };
  if (version) headers["If-Match"] = version;
  const content = body === undefined || binary ? body : JSON.stringify(body);
  return answer(await fetch(`api/${path}`, { method, headers, body: content }));
}

export const readStudy = async () => answer(await fetch("api/study"));

export async function readImage(key) {
  const response = await fetch(`api/images/${key}.nii.gz`);
  if (!response.ok) throw new Error(`The image ${key} cannot be read (${response.status}).`);
  const plain = response.body.pipeThrough(new DecompressionStream("gzip"));
  return new Response(plain).arrayBuffer();
}

export const changeLesion = (number, change) => send("PATCH", `lesions/${number}`, change);
export const putShape = (number, sequence, voxels) => send("PUT", `lesions/${number}/shape/${sequence}`, voxels);
export const restoreShape = (number) => send("DELETE", `lesions/${number}/shape`);
export const addLesion = (sequence, voxels) => send("POST", `lesions/${sequence}`, voxels);
export const removeLesion = (number) => send("DELETE", `lesions/${number}`);
export const changeReview = (change) => send("PATCH", "review", change);
export const reviewStep = (step) => send("POST", `review/${step}`);
export const putBone = (bone, sequence, voxels) => send("PUT", `bones/${bone}/${sequence}`, voxels);
export const restoreBones = (sequence) => send("DELETE", `bones/${sequence}`);
export const adopt = (number, reader) => send("POST", `lesions/${number}/adopt/${reader}`);
