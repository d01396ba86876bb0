import { DurableObject } from "cloudflare:workers";

// A cache as the pattern of Durable Objects has it: all requests for a URL
// meet in one object, which asks the origin once and keeps the answer in
// memory.
export default {
  fetch(request, env) {
    const entry = env.ENTRIES.get(env.ENTRIES.idFromName(request.url));
    return entry.fetch(request);
  },
};

export class Entry extends DurableObject {
  answer = null;
  flight = null;

  async fetch(request) {
    if (this.answer === null || this.answer.expires <= Date.now()) {
      this.flight ??= this.load(request).finally(() => { this.flight = null; });
      const answer = await this.flight;
      return new Response(answer.body, answer.init);
    }
    return new Response(this.answer.body, this.answer.init);
  }

  async load(request) {
    const response = await this.env.ORIGIN.fetch(request.url, { headers: request.headers });
    const body = await response.arrayBuffer();
    const control = response.headers.get("Cache-Control") ?? "";
    const age = /max-age=(\d+)/.exec(control);
    const answer = {
      body,
      init: { status: response.status, headers: { "Content-Type": response.headers.get("Content-Type"), "Cache-Control": control } },
      expires: Date.now() + 1000 * Number(age?.[1] ?? 0),
    };
    if (response.ok && age !== null) {
      this.answer = answer;
    }
    return answer;
  }
}
