// JSON as text. The page never turns a payload into numbers of JavaScript, which
// would change those over 2^53: it indents the text, and sends back the text.

// Characters that can't be seen, or that change the order of what is seen.
const unseen = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff]/gu;

const escaped = (c) => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0");

// split cuts a text into what can be seen and what can't: [{text, unseen}].
export function split(text) {
  const parts = [];
  let from = 0;
  for (const m of text.matchAll(unseen)) {
    if (m.index > from) parts.push({ text: text.slice(from, m.index) });
    parts.push({ text: escaped(m[0]), unseen: true });
    from = m.index + m[0].length;
  }
  if (from < text.length) parts.push({ text: text.slice(from) });
  return parts;
}

// plain is the text with unseen characters written out.
export const plain = (text) => String(text ?? "").replace(unseen, escaped);

const token = /\s*([{}[\]:,]|"(?:[^"\\]|\\.)*"|[^\s{}[\]:,"]+|$)/gsy;

// scan reads a JSON text. It returns spans, a Map from the path of each value
// ("to[3]", "body.msg", "" for the whole) to [start, end], and pretty, the text
// indented. It throws a SyntaxError as JSON.parse does.
export function scan(text) {
  JSON.parse(text); // whoever gets past it has well-formed JSON
  const spans = new Map();
  const out = [];
  token.lastIndex = 0;
  let start = 0;
  let end = 0;
  const next = () => {
    const m = token.exec(text);
    end = token.lastIndex;
    start = end - m[1].length;
    return m[1];
  };
  const emit = (s) => out.push(s);
  const string = (s) => JSON.stringify(JSON.parse(s)).replace(unseen, escaped);
  const value = (first, path, depth) => {
    const begin = start;
    const pad = "  ".repeat(depth);
    if (first === "{" || first === "[") {
      const close = first === "{" ? "}" : "]";
      emit(first);
      let t = next();
      if (t === close) {
        emit(close);
      } else {
        for (let i = 0; ; i++) {
          emit("\n" + pad + "  ");
          let inner = `${path}[${i}]`;
          if (first === "{") {
            const key = JSON.parse(t);
            inner = path ? `${path}.${key}` : key;
            emit(string(t) + ": ");
            next();
            t = next();
          }
          value(t, inner, depth + 1);
          if (next() === close) break;
          emit(",");
          t = next();
        }
        emit("\n" + pad + close);
      }
    } else {
      emit(first.startsWith('"') ? string(first) : first);
    }
    spans.set(path, [begin, end]);
  };
  value(next(), "", 0);
  return { spans, pretty: out.join("") };
}

// part is the text of the value at a path of a JSON text; undefined without one.
export function part(text, path) {
  const span = scan(text).spans.get(path);
  return span && text.slice(...span);
}

// inside is the location of an error as a path in the payload.
export const inside = (location) => String(location ?? "").replace(/^(body\.)?(payload(\.|$))+/, "");

// locate finds where in a payload's text the field of an error is: its own span,
// else that of the nearest thing around it; undefined when there is none.
export function locate(text, location) {
  let path = inside(location);
  let spans;
  try {
    spans = scan(text).spans;
  } catch {
    return undefined;
  }
  while (path && !spans.has(path)) path = path.replace(/(^|\.)[^.[\]]*$|\[[^[\]]*\]$/, "");
  return path ? spans.get(path) : undefined;
}

// lineAt is the number of the line, from 1, of a place in a text.
export const lineAt = (text, at) => text.slice(0, at).split("\n").length;
